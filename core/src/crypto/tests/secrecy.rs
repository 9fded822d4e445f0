//! No secret shows: every public type is formatted and searched, and none that holds one can be copied.

extern crate std;

use core::fmt::Debug;
use std::{format, string::String, vec::Vec};

use curve25519_dalek::Scalar;

use super::{FixedRng, SeededRng, hex};
use crate::crypto::{
    EncryptionKey, GuessBudget, KeyError, Role,
    cpace::{CpaceOutput, CpaceState, ShareError},
    exchange::{Confirming, Exchange, Inputs, Secured, Verdict},
    guess::{Charge, Locked},
    lv_cat,
    record::{Ctrl, Data, OpenError, Opener, SealError, Sealer},
    schedule::{ChainKey, ConfirmKey, Root, SessionKeys},
};

const PHRASE: &str = "a-phrase-to-search-for";
const RAW: [u8; 16] = *b"\xa7\xb3\xf1\x84\xd2\x97\xce\x0f\xe5\x1c\x88\xba\x6d\xf9\x90\xc3";

fn inputs(role: Role) -> Inputs {
    Inputs {
        role,
        version: 1,
        id_connector: *b"aaaaaa",
        id_acceptor: *b"bbbbbb",
        nonce_connector: [0x11; 16],
        nonce_acceptor: [0x22; 16],
        run: 1,
        caps: 20,
    }
}

/// Both printed forms of a value.
fn printed(value: &dyn Debug) -> [String; 2] {
    [format!("{value:?}"), format!("{value:#?}")]
}

/// Any four bytes of `secret` in a row, as text, as hexadecimal or as a list of numbers.
fn shows(text: &str, secret: &[u8]) -> bool {
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    secret.windows(4).any(|four| {
        let decimal = four.iter().map(|byte| format!("{byte}")).collect::<Vec<_>>().join(",");
        let ascii = core::str::from_utf8(four).is_ok_and(|four| text.contains(four));
        ascii || squeezed.to_lowercase().contains(&hex(four)) || squeezed.contains(&decimal)
    })
}

#[test]
fn the_search_finds_what_is_there() {
    for value in [&RAW as &dyn Debug, &PHRASE, &hex(RAW), &hex(RAW).to_uppercase(), &Some((1, RAW))] {
        let secrets = [&RAW[..], PHRASE.as_bytes()];
        for text in printed(value) {
            assert!(secrets.iter().any(|secret| shows(&text, secret)), "{text}");
        }
    }
}

#[test]
fn no_type_prints_a_secret() {
    let phrase = EncryptionKey::parse(PHRASE).unwrap();
    let raw = EncryptionKey::generate(&mut FixedRng::new(&RAW));
    let mut secrets: Vec<Vec<u8>> =
        [&raw, &phrase].iter().map(|key| key.to_text().as_bytes().to_vec()).collect();
    secrets.extend([PHRASE.as_bytes().to_vec(), RAW.to_vec(), phrase.prs().to_vec(), raw.prs().to_vec()]);

    // One whole run, every secret of which is computed beside it.
    let mut rng = SeededRng::new("secrecy");
    let scalars = [(); 2].map(|()| {
        let mut bytes = [0; 64];
        rand_core::Rng::fill_bytes(&mut rng, &mut bytes);
        bytes
    });
    let roles = [Role::Connector, Role::Acceptor];
    let start = |i: usize| Exchange::start(inputs(roles[i]), &phrase, &mut FixedRng::new(&scalars[i]));
    let [c, a] = [start(0), start(1)];
    let (c_share, c_ad, a_share, a_ad) = (c.share(), c.ad(), a.share(), a.ad());
    // What is drawn is reduced before it is used.
    secrets.extend(scalars.map(|bytes| Scalar::from_bytes_mod_order_wide(&bytes).to_bytes().to_vec()));
    let ci = lv_cat(&[b"phantom/1", b"aaaaaa", b"bbbbbb"]);
    let sid = [&[0x11; 16][..], &[0x22; 16], &[0, 1]].concat();
    let cpace = || CpaceState::start(&phrase.prs(), &ci, &sid, &c_ad, &mut FixedRng::new(&scalars[0]));
    assert_eq!(*cpace().share(), c_share, "the very run");
    let output: CpaceOutput = cpace().finish(&a_share, &a_ad).unwrap();
    secrets.push(output.isk.to_vec());
    let root = || Root::new(&output.isk, &output.sid_output, &phrase.prs());
    let context = |name: &str| ["phantom v1 2026-11-22 ", name].concat();
    let root_bytes = blake3::derive_key(
        &context("session root"),
        &lv_cat(&[&*output.isk, &output.sid_output, &phrase.prs()]),
    );
    secrets.push(root_bytes.to_vec());
    for name in [
        "confirm connector",
        "confirm acceptor",
        "data connector to acceptor",
        "data acceptor to connector",
        "ctrl connector to acceptor",
        "ctrl acceptor to connector",
        "rendezvous",
        "verifier",
    ] {
        let key = blake3::derive_key(&context(name), &root_bytes);
        let mut record_keys = [0; 44];
        let mut hasher = blake3::Hasher::new_derive_key(&context("record key and iv"));
        hasher.update(&key).finalize_xof().fill(&mut record_keys);
        secrets.extend([key.to_vec(), record_keys.to_vec()]);
    }

    let keys: SessionKeys = root().split(Role::Connector);
    let confirming = || start(0).finish(&a_share, &a_ad).unwrap();
    let (check, expected_tag) = a.finish(&c_share, &c_ad).unwrap().confirm();
    secrets.push(expected_tag.to_vec());
    let verdict = confirming().judge(&check, &expected_tag);
    let Verdict::Secured(session) = confirming().judge(&check, &expected_tag) else {
        panic!("the keys are equal")
    };

    let budget_key: [u8; 32] = core::array::from_fn(|i| 0x40 + i as u8);
    let mut budget = GuessBudget::new(&mut FixedRng::new(&budget_key));
    let charge = budget.charge(&phrase).unwrap();
    secrets.extend([budget_key.to_vec(), phrase.fingerprint(&budget_key).to_vec()]);

    let opaque: [(&str, &dyn Debug); 18] = [
        ("EncryptionKey", &phrase),
        ("EncryptionKey", &raw),
        ("CpaceState", &cpace()),
        ("CpaceOutput", &output),
        ("Root", &root()),
        ("SessionKeys", &keys),
        ("ConfirmKey", &keys.confirm_own),
        ("ConfirmKey", &keys.confirm_peer),
        ("ChainKey", &keys.data_tx),
        ("ChainKey", &keys.ctrl_rx),
        ("Exchange", &c),
        ("Confirming", &confirming()),
        ("Secured", &session),
        ("Sealer", &session.data_tx),
        ("Sealer", &session.ctrl_tx),
        ("Opener", &session.data_rx),
        ("Opener", &session.ctrl_rx),
        ("GuessBudget", &budget),
    ];
    for (name, value) in opaque {
        assert_eq!(printed(value), [name, name]);
    }
    let open: [&dyn Debug; 14] = [
        &verdict,
        &charge,
        &inputs(Role::Connector),
        &EncryptionKey::parse("2222-2222-2222-2222-2222-2222-2222").err(),
        &KeyError::Empty,
        &KeyError::TooLong,
        &ShareError,
        &Locked,
        &SealError::Size,
        &OpenError::Malformed,
        &OpenError::Duplicate { seq: 1 },
        &OpenError::Gap { expected: 1, got: 2 },
        &OpenError::Forged { seq: 1 },
        &Role::Acceptor,
    ];
    for text in opaque.iter().map(|(_, value)| *value).chain(open).flat_map(printed) {
        for secret in &secrets {
            assert!(!shows(&text, secret), "{text} shows {}", hex(secret));
        }
    }
}

/// Does not compile if one of the types is `Clone`: the call would then fit two implementations.
macro_rules! assert_not_clone {
    ($($type:ty),+ $(,)?) => {$(
        const _: fn() = || {
            trait Ambiguous<A> { fn call() {} }
            impl<T> Ambiguous<()> for T {}
            impl<T: Clone> Ambiguous<u8> for T {}
            <$type as Ambiguous<_>>::call();
        };
    )+};
}

assert_not_clone!(
    CpaceState,
    CpaceOutput,
    Root,
    SessionKeys,
    ConfirmKey,
    ChainKey,
    Exchange,
    Confirming,
    Secured,
    Sealer<Data>,
    Sealer<Ctrl>,
    Opener<Data>,
    Opener<Ctrl>,
    GuessBudget,
    Charge,
);
