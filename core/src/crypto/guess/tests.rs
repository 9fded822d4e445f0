extern crate std;

use std::{collections::BTreeMap, format, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::crypto::tests::SeededRng;

fn budget() -> GuessBudget {
    GuessBudget::new(&mut SeededRng::new("budget"))
}

fn phrase(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

#[test]
fn a_passphrase_is_locked_after_twenty_guesses() {
    let (mut budget, key) = (budget(), phrase("ABCDE12345"));
    for spent in 0..GUESSES_PER_PASSPHRASE {
        assert_eq!(budget.spent(&key), spent);
        assert!(!budget.is_locked(&key));
        let _ = budget.charge(&phrase(" ABCDE12345\n")).unwrap();
    }
    assert!(budget.is_locked(&key));
    assert_eq!(budget.charge(&key).err(), Some(Locked));
    assert_eq!(budget.spent(&key), GUESSES_PER_PASSPHRASE, "a refused charge costs nothing");
    assert!(!budget.is_locked(&phrase("another")));
    assert!(budget.charge(&phrase("another")).is_ok());
}

#[test]
fn a_success_gives_back_its_own_guess_only() {
    let (mut budget, key) = (budget(), phrase("ABCDE12345"));
    let _failed = budget.charge(&key).unwrap();
    let succeeded = budget.charge(&key).unwrap();
    let _silent = budget.charge(&key).unwrap();
    budget.give_back(succeeded);
    assert_eq!(budget.spent(&key), 2);
}

#[test]
fn unlock_tells_and_forgets() {
    let (mut budget, key) = (budget(), phrase("ABCDE12345"));
    let old = budget.charge(&key).unwrap();
    while budget.charge(&key).is_ok() {}
    let other = budget.charge(&phrase("another")).unwrap();
    assert_eq!(budget.unlock(&key), GUESSES_PER_PASSPHRASE);
    assert_eq!((budget.spent(&key), budget.unlock(&key)), (0, 0));
    assert_eq!(budget.spent(&phrase("another")), 1);

    // A charge from before the unlock does not lower the count that began after it.
    let _new = budget.charge(&key).unwrap();
    budget.give_back(old);
    assert_eq!(budget.spent(&key), 1);
    budget.give_back(other);
    assert_eq!(budget.spent(&phrase("another")), 0);
}

#[test]
fn generated_keys_are_never_locked() {
    let (mut budget, key) = (budget(), EncryptionKey::generate(&mut SeededRng::new("key")));
    for _ in 0..3 * GUESSES_PER_PASSPHRASE {
        let charge = budget.charge(&key).unwrap();
        budget.give_back(charge);
        let _ = budget.charge(&key).unwrap();
    }
    assert!(!budget.is_locked(&key));
    assert_eq!((budget.spent(&key), budget.unlock(&key), budget.entries.len()), (0, 0, 0));
}

#[test]
fn as_many_passphrases_are_remembered_as_promised() {
    let (mut budget, first) = (budget(), phrase("first"));
    let charge = budget.charge(&first).unwrap();
    for n in 1..PASSPHRASES {
        let _ = budget.charge(&phrase(&format!("other {n}"))).unwrap();
    }
    assert_eq!(budget.spent(&first), 1);
    assert_eq!(budget.entries.len(), PASSPHRASES);
    let _ = budget.charge(&phrase("one more")).unwrap();
    assert_eq!((budget.spent(&first), budget.entries.len()), (0, PASSPHRASES));
    assert_eq!(budget.spent(&phrase("other 1")), 1, "only the one charged longest ago made room");
    budget.give_back(charge);
    assert_eq!(budget.entries.len(), PASSPHRASES);
}

proptest! {
    /// Whatever happens with a few passphrases, what was charged and not given back since the last unlock never
    /// exceeds the budget, and the count is exactly that.
    #[test]
    fn counts_are_exact(steps in proptest::collection::vec((0..4_u8, 0..3_usize, any::<usize>()), 0..300)) {
        let keys = ["a", "b", "c"].map(phrase);
        let mut budget = budget();
        let mut open: Vec<(usize, u32, Charge)> = Vec::new();
        let mut model: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for (step, which, pick) in steps {
            let (epoch, spent) = model.entry(which).or_default();
            match step {
                0 | 1 => match budget.charge(&keys[which]) {
                    Ok(charge) => {
                        prop_assert!(*spent < GUESSES_PER_PASSPHRASE);
                        *spent += 1;
                        open.push((which, *epoch, charge));
                    }
                    Err(Locked) => prop_assert_eq!(*spent, GUESSES_PER_PASSPHRASE),
                },
                2 if !open.is_empty() => {
                    let (owner, charged_in, charge) = open.swap_remove(pick % open.len());
                    budget.give_back(charge);
                    let (epoch, spent) = model.get_mut(&owner).unwrap();
                    if *epoch == charged_in { *spent -= 1 }
                }
                // Now and then only, or nothing would ever be locked.
                3 if pick % 16 == 0 => {
                    prop_assert_eq!(budget.unlock(&keys[which]), *spent);
                    (*epoch, *spent) = (*epoch + 1, 0);
                }
                _ => {}
            }
            for (index, key) in keys.iter().enumerate() {
                let spent = model.get(&index).map_or(0, |&(_, spent)| spent);
                prop_assert_eq!(budget.spent(key), spent);
                prop_assert_eq!(budget.is_locked(key), spent == GUESSES_PER_PASSPHRASE);
            }
        }
    }
}
