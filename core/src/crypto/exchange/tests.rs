extern crate std;

use std::vec;

use proptest::prelude::*;

use super::*;
use crate::crypto::{
    record::{HEADER, TAG},
    tests::SeededRng,
};

fn inputs(role: Role) -> Inputs {
    Inputs {
        role,
        version: 1,
        id_connector: *b"aaaaaa",
        id_acceptor: *b"bbbbbb",
        nonce_connector: [0x11; 16],
        nonce_acceptor: [0x22; 16],
        run: 1,
        caps: match role {
            Role::Connector => 20,
            Role::Acceptor => 16,
        },
    }
}

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// Two sides that begin a run, each with inputs and a passphrase of its own.
fn start(c: (Inputs, &str), a: (Inputs, &str)) -> (Exchange, Exchange) {
    let mut rng = SeededRng::new("exchange");
    (Exchange::start(c.0, &key(c.1), &mut rng), Exchange::start(a.0, &key(a.1), &mut rng))
}

fn honest() -> (Exchange, Exchange) {
    start((inputs(Role::Connector), "key"), (inputs(Role::Acceptor), "key"))
}

fn cross(c: Exchange, a: Exchange) -> (Confirming, Confirming) {
    let (c_share, c_ad, a_share, a_ad) = (c.share(), c.ad(), a.share(), a.ad());
    (c.finish(&a_share, &a_ad).unwrap(), a.finish(&c_share, &c_ad).unwrap())
}

fn judge(c: Confirming, a: Confirming) -> (Verdict, Verdict) {
    let ((c_check, c_tag), (a_check, a_tag)) = (c.confirm(), a.confirm());
    (c.judge(&a_check, &a_tag), a.judge(&c_check, &c_tag))
}

fn run(c: (Inputs, &str), a: (Inputs, &str)) -> (Verdict, Verdict) {
    let (c, a) = start(c, a);
    let (c, a) = cross(c, a);
    judge(c, a)
}

fn secured(verdict: Verdict) -> Box<Secured> {
    match verdict {
        Verdict::Secured(secured) => secured,
        other => panic!("{other:?}"),
    }
}

fn is_secured(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Secured(_))
}

#[test]
fn the_same_key_secures_both_sides() {
    let (c, a) = honest();
    let (c, a) = cross(c, a);
    assert_eq!(c.confirm(), c.confirm(), "a CONFIRM can be repeated");
    assert_eq!(c.rendezvous(), a.rendezvous());
    assert!(!c.is_altered() && !a.is_altered());
    let rendezvous = c.rendezvous();
    let (c, a) = judge(c, a);
    let (mut c, mut a) = (secured(c), secured(a));
    assert_eq!((c.rendezvous, c.verifier), (a.rendezvous, a.verifier));
    assert_eq!(c.rendezvous, rendezvous);
    assert_ne!(c.rendezvous, c.verifier);
    assert_eq!((c.peer_version, c.peer_caps, a.peer_version, a.peer_caps), (1, 16, 1, 20));

    let mut record = vec![7; HEADER + 5 + TAG];
    c.data_tx.seal(&mut record).unwrap();
    assert_eq!(a.data_rx.open(&mut record).unwrap(), [7; 5]);
    let mut record = vec![8; HEADER + 5 + TAG];
    a.data_tx.seal(&mut record).unwrap();
    assert_eq!(c.data_rx.open(&mut record).unwrap(), [8; 5]);
    let mut record = vec![9; HEADER + 5 + TAG];
    c.ctrl_tx.seal(&mut record).unwrap();
    assert_eq!(a.ctrl_rx.open(&mut record).unwrap(), [9; 5]);
    let mut record = vec![10; HEADER + 5 + TAG];
    a.ctrl_tx.seal(&mut record).unwrap();
    assert_eq!(c.ctrl_rx.open(&mut record).unwrap(), [10; 5]);
}

#[test]
fn no_two_runs_have_anything_in_common() {
    let rendezvous = |run_number: u16| {
        let with = |role| Inputs { run: run_number, ..inputs(role) };
        let (c, a) = run((with(Role::Connector), "key"), (with(Role::Acceptor), "key"));
        assert!(is_secured(&a));
        secured(c).rendezvous
    };
    assert_ne!(rendezvous(1), rendezvous(2));
}

#[test]
fn different_keys_are_told_to_both() {
    let verdicts = run((inputs(Role::Connector), "key"), (inputs(Role::Acceptor), "kez"));
    assert!(matches!(verdicts, (Verdict::KeysDiffer, Verdict::KeysDiffer)), "{verdicts:?}");
}

#[test]
fn whatever_else_differs_is_told_as_altered() {
    type Change = fn(&mut Inputs);
    let changes: [(&str, Change); 6] = [
        ("id_connector", |inputs| inputs.id_connector[5] ^= 1),
        ("id_acceptor", |inputs| inputs.id_acceptor[0] ^= 1),
        ("nonce_connector", |inputs| inputs.nonce_connector[15] ^= 1),
        ("nonce_acceptor", |inputs| inputs.nonce_acceptor[0] ^= 1),
        ("run", |inputs| inputs.run += 1),
        ("role", |inputs| inputs.role = inputs.role.opposite()),
    ];
    for (name, change) in changes {
        for changed in [Role::Connector, Role::Acceptor] {
            for acceptor_key in ["key", "another"] {
                let mut both = [inputs(Role::Connector), inputs(Role::Acceptor)];
                change(&mut both[changed as usize]);
                let verdicts = run((both[0], "key"), (both[1], acceptor_key));
                let altered = matches!(verdicts, (Verdict::HandshakeAltered, Verdict::HandshakeAltered));
                assert!(altered, "{name} of the {changed:?}: {verdicts:?}");
            }
        }
    }
}

/// Each field of the associated data is checked against the signalling by itself, not only through the keys.
#[test]
fn associated_data_must_match_the_signalling() {
    for byte in 0..20 {
        let (c, a) = honest();
        let (share, mut ad) = (a.share(), a.ad());
        // A version of 0, or anything else where the signalling leaves no choice.
        ad[byte] = if byte == 0 { 0 } else { ad[byte] ^ 1 };
        let confirming = c.finish(&share, &ad).unwrap();
        assert!(confirming.is_altered(), "byte {byte}");
        let (check, tag) = (confirming.check, *confirming.expected);
        assert!(
            matches!(confirming.judge(&check, &tag), Verdict::HandshakeAltered),
            "byte {byte}: no tag can make this good"
        );
    }
    for byte in [0, 20, 23] {
        let (c, a) = honest();
        let (share, mut ad) = (a.share(), a.ad());
        ad[byte] ^= 2;
        assert!(!c.finish(&share, &ad).unwrap().is_altered(), "version and caps are the other side's choice");
    }
}

/// The relay flips one bit of what the acceptor sends: neither side is secured by a changed SHARE, and no changed
/// CONFIRM secures the connector.
#[test]
fn any_flipped_bit_gives_no_secured() {
    for bit in 0..(32 + AD) * 8 {
        let (c, a) = honest();
        let (c_share, c_ad, mut a_share, mut a_ad) = (c.share(), c.ad(), a.share(), a.ad());
        if bit < 256 {
            a_share[bit / 8] ^= 1 << (bit % 8);
        } else {
            a_ad[bit / 8 - 32] ^= 1 << (bit % 8);
        }
        let a = a.finish(&c_share, &c_ad).unwrap();
        let Ok(c) = c.finish(&a_share, &a_ad) else {
            assert!(bit < 256, "only a share is invalid");
            continue;
        };
        let verdicts = judge(c, a);
        assert!(
            matches!(verdicts, (Verdict::HandshakeAltered, Verdict::HandshakeAltered)),
            "bit {bit}: {verdicts:?}"
        );
    }
    for bit in 0..(16 + 32) * 8 {
        let (c, a) = honest();
        let (c, a) = cross(c, a);
        let (mut check, mut tag) = a.confirm();
        if bit < 128 {
            check[bit / 8] ^= 1 << (bit % 8);
        } else {
            tag[bit / 8 - 16] ^= 1 << (bit % 8);
        }
        let verdict = c.judge(&check, &tag);
        match bit {
            0..128 => assert!(matches!(verdict, Verdict::HandshakeAltered), "bit {bit}: {verdict:?}"),
            _ => assert!(matches!(verdict, Verdict::KeysDiffer), "bit {bit}: {verdict:?}"),
        }
    }
}

#[test]
fn nobody_can_be_talked_into_talking_to_himself() {
    let (c, _) = honest();
    let (share, ad) = (c.share(), c.ad());
    assert_eq!(c.finish(&share, &ad).err(), Some(ShareError), "own share");

    let (c, a) = honest();
    let (share, ad) = (c.share(), a.ad());
    assert_eq!(c.finish(&share, &ad).err(), Some(ShareError), "own share with foreign associated data");

    // The own CONFIRM comes back.
    let (c, a) = honest();
    let (c, _) = cross(c, a);
    let (check, tag) = c.confirm();
    assert!(matches!(c.judge(&check, &tag), Verdict::KeysDiffer));

    // Two connectors with the same key and the same IDs, joined to each other.
    let verdicts = run((inputs(Role::Connector), "key"), (inputs(Role::Connector), "key"));
    assert!(matches!(verdicts, (Verdict::HandshakeAltered, Verdict::HandshakeAltered)), "{verdicts:?}");
}

/// A side whose view was altered confirms nevertheless; what it sends secures nobody.
#[test]
fn the_confirm_of_an_altered_side_secures_nobody() {
    for bit in (0..AD * 8).filter(|bit| bit / 8 < 20) {
        let (c, a) = honest();
        let (c_share, c_ad, a_share, mut a_ad) = (c.share(), c.ad(), a.share(), a.ad());
        a_ad[bit / 8] ^= 1 << (bit % 8);
        let (c, a) = (c.finish(&a_share, &a_ad).unwrap(), a.finish(&c_share, &c_ad).unwrap());
        // The relay even mends the check, which it can compute.
        let (check, (_, tag)) = (a.check, c.confirm());
        assert!(matches!(a.judge(&check, &tag), Verdict::KeysDiffer), "bit {bit}");
    }
}

proptest! {
    /// Both are secured if and only if all that must be equal is equal; never only one of two honest sides.
    #[test]
    fn agreement_needs_every_input(
        ids in any::<([u8; 6], [u8; 6])>(), nonces in any::<([u8; 16], [u8; 16])>(), run_number in 1..=u16::MAX,
        caps in any::<(u32, u32)>(), versions in (1..=u8::MAX, 1..=u8::MAX), passphrase in "[!-~]{1,40}",
        changed in 0..12_usize, position: usize, bit in 0..8_u32,
    ) {
        let c = Inputs {
            role: Role::Connector, version: versions.0, id_connector: ids.0, id_acceptor: ids.1,
            nonce_connector: nonces.0, nonce_acceptor: nonces.1, run: run_number, caps: caps.0,
        };
        let mut a = Inputs { role: Role::Acceptor, version: versions.1, caps: caps.1, ..c };
        let mut a_key = passphrase.clone();
        let flip = |bytes: &mut [u8]| bytes[position % bytes.len()] ^= 1 << bit;
        match changed {
            0 => flip(&mut a.id_connector),
            1 => flip(&mut a.id_acceptor),
            2 => flip(&mut a.nonce_connector),
            3 => flip(&mut a.nonce_acceptor),
            4 => a.run ^= 1 << (position % 16),
            5 => a.role = Role::Connector,
            6 => a_key.push('x'),
            _ => {}
        }
        let (c, a) = run((c, &passphrase), (a, &a_key));
        prop_assert_eq!((is_secured(&c), is_secured(&a)), (changed > 6, changed > 6), "changed {}", changed);
        if changed > 6 {
            let (c, a) = (secured(c), secured(a));
            prop_assert_eq!((c.peer_version, c.peer_caps), (versions.1, caps.1));
            prop_assert_eq!((a.peer_version, a.peer_caps), (versions.0, caps.0));
            prop_assert_eq!((c.rendezvous, c.verifier), (a.rendezvous, a.verifier));
        }
    }
}

#[test]
fn a_run_knows_its_number() {
    let of = |run| Inputs { run, ..inputs(Role::Connector) };
    let exchange = start((of(7), "key"), (of(7), "key")).0;
    assert_eq!(exchange.run(), 7);
}
