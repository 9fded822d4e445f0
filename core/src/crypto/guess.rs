//! The guess budget: how often a passphrase may be tried by others before its owner is asked.
//!
//! The rule: **a CONFIRM costs a guess.** It is what lets a counterpart test one guess at our key, so the guess is
//! charged before the CONFIRM is sent, whatever happens afterwards. Only the other side's right CONFIRM of the same run
//! gives it back, exactly that one.
//!
//! Counted is the *passphrase*, by its value, over all channels of a client: to set it again resets nothing. Generated
//! keys are not counted: 128 bits cannot be guessed, and a count would let strangers lock a service. The count lives in
//! this object alone: another client, another process and each restart begin anew.

use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::EncryptionKey;

/// Guesses a passphrase is worth, over all channels.
pub const GUESSES_PER_PASSPHRASE: u32 = 20;
/// Passphrases remembered. As many as a client has channels, so that no living channel's passphrase is pushed out by
/// the others.
pub const PASSPHRASES: usize = 64;

/// Counts of failed guesses by passphrase, kept under fingerprints that mean nothing outside of this object.
pub struct GuessBudget {
    key: Zeroizing<[u8; 32]>,
    /// The one charged last stands last.
    entries: Vec<Entry>,
    epochs: u64,
}

struct Entry {
    fingerprint: [u8; 16],
    /// Differs after each forgetting, so that an old charge cannot lower a new count.
    epoch: u64,
    spent: u32,
}

super::opaque_debug!(GuessBudget);

impl GuessBudget {
    /// An unspent budget; `rng` gives the key of the fingerprints.
    pub fn new(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self { key, entries: Vec::new(), epochs: 0 }
    }

    /// Takes one guess at `key`, before a CONFIRM made with it is sent. Keep the charge until the run is judged.
    ///
    /// # Errors
    /// [`Locked`] if none is left: the CONFIRM must not be sent.
    pub fn charge(&mut self, key: &EncryptionKey) -> Result<Charge, Locked> {
        if key.is_generated() {
            return Ok(Charge(None));
        }
        let fingerprint = key.fingerprint(&self.key);
        let entry = match self.position(&fingerprint) {
            Some(index) if self.entries[index].spent >= GUESSES_PER_PASSPHRASE => return Err(Locked),
            Some(index) => self.entries.remove(index),
            None => self.fresh(fingerprint),
        };
        let charge = Charge(Some(entry.epoch));
        self.entries.push(Entry { spent: entry.spent + 1, ..entry });
        Ok(charge)
    }

    /// Gives back the guess of a run that ended with the other side's right CONFIRM. Nothing happens if the count it
    /// belongs to was reset in the meantime.
    #[expect(clippy::needless_pass_by_value, reason = "a charge is worth one giving back")]
    pub fn give_back(&mut self, charge: Charge) {
        let Charge(Some(epoch)) = charge else { return };
        if let Some(index) = self.entries.iter().position(|entry| entry.epoch == epoch) {
            let entry = &mut self.entries[index];
            entry.spent -= 1;
            if entry.spent == 0 {
                self.entries.remove(index);
            }
        }
    }

    /// The owner allows as many guesses again. Returns how many were spent, those of runs still open included.
    pub fn unlock(&mut self, key: &EncryptionKey) -> u32 {
        match self.find(key) {
            Some(index) => self.entries.remove(index).spent,
            None => 0,
        }
    }

    /// Whether no guess is left: no SHARE and no CONFIRM may be made with `key`.
    pub fn is_locked(&self, key: &EncryptionKey) -> bool {
        self.spent(key) >= GUESSES_PER_PASSPHRASE
    }

    /// Guesses spent on `key` and not given back.
    pub fn spent(&self, key: &EncryptionKey) -> u32 {
        self.find(key).map_or(0, |index| self.entries[index].spent)
    }

    fn find(&self, key: &EncryptionKey) -> Option<usize> {
        if key.is_generated() { None } else { self.position(&key.fingerprint(&self.key)) }
    }

    fn position(&self, fingerprint: &[u8; 16]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.fingerprint == *fingerprint)
    }

    /// A count for a passphrase not remembered; the one charged longest ago makes room.
    fn fresh(&mut self, fingerprint: [u8; 16]) -> Entry {
        if self.entries.len() == PASSPHRASES {
            self.entries.remove(0);
        }
        self.epochs += 1;
        Entry { fingerprint, epoch: self.epochs, spent: 0 }
    }
}

/// One guess that was charged. It is worth one [`GuessBudget::give_back`], and stays spent if it is dropped.
#[derive(Debug)]
#[must_use = "a charge that is dropped stays spent"]
pub struct Charge(Option<u64>);

/// All guesses at this passphrase are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked;

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{GUESSES_PER_PASSPHRASE} attempts with this passphrase failed; somebody may be guessing it. \
             Agree on another key, or unlock this one"
        )
    }
}

impl core::error::Error for Locked {}

#[cfg(test)]
mod tests;
