//! The wire format, frozen: `core/tests/vectors/crypto.json`, for this implementation and any other.
//!
//! The file is compared with what the code does *and* with [`Reference`], which does it a second time from the text of
//! the specification. After a wanted change of the format,
//!
//! ```text
//! PHANTOM_REWRITE_VECTORS=1 cargo test -p phantom-core crypto::tests::vectors
//! ```
//!
//! rewrites the file and **fails** nevertheless, so that nobody rewrites it unawares: look at the difference, then run
//! the tests again without the variable.

extern crate std;

use std::{env, format, fs, string::String, vec, vec::Vec};

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, aead::inout::InOutBuf};
use serde_json::{Value, json};

use super::{FixedRng, hex, unhex};
use crate::crypto::{
    EncryptionKey, Role,
    cpace::{CpaceOutput, CpaceState},
    exchange::{Confirming, Exchange, Inputs, Secured, Verdict},
    lv_cat,
    record::{HEADER, Kind, Sealer, TAG},
};

const FILE: &str = include_str!("../../../tests/vectors/crypto.json");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/crypto.json");

#[test]
fn the_wire_format_is_the_frozen_one() {
    let computed = json!({
        "about": "Known answers of the Phantom protocol, version 1. Byte strings are lower-case hexadecimal. \
                  PROTOCOL.md says how each value is made.",
        "keys": keys(),
        "sessions": [
            Session::new("passphrase", key("ABCDE12345")).to_json(),
            Session::new("generated key", EncryptionKey::generate(&mut FixedRng::new(&RAW_KEY))).to_json(),
        ],
    });
    if env::var_os("PHANTOM_REWRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&computed).unwrap() + "\n";
        fs::write(PATH, text).unwrap();
        panic!(
            "{PATH} was rewritten: look at the difference, then run the tests without PHANTOM_REWRITE_VECTORS"
        );
    }
    let frozen = serde_json::from_str(FILE).expect("the file is JSON");
    assert_same("", &frozen, &computed);
}

/// What the file holds opens, whoever sealed it.
#[test]
fn frozen_records_open() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let (_, mut acceptor) = Session::new("passphrase", key("ABCDE12345")).secured();
    let records = file["sessions"][0]["records"].as_array().unwrap();
    assert!(records.len() >= 7);
    for record in records {
        let mut sealed = unhex(record["record"].as_str().unwrap());
        let name = record["name"].as_str().unwrap();
        let opened = match sealed[0] {
            0x10 => acceptor.data_rx.open(&mut sealed),
            _ => acceptor.ctrl_rx.open(&mut sealed),
        };
        assert_eq!(hex(opened.unwrap()), record["plaintext"].as_str().unwrap(), "{name}");
        if name == "KEY_UPDATE" {
            acceptor.data_rx.ratchet();
        }
    }
}

/// Reads `0123-4567-89AB-CDEF-GHJK-MNPQ-RW` and two check characters.
const RAW_KEY: [u8; 16] =
    [0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf, 0x84, 0x65, 0x3a, 0x56, 0xd7, 0xc7];

/// Whose 64 bytes of randomness make the scalars.
const RANDOMNESS: [[u8; 64]; 2] = [[0xc0; 64], [0xa0; 64]];

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::parse(text).unwrap()
}

/// Texts and what they are read as.
fn keys() -> Vec<Value> {
    let shown = EncryptionKey::generate(&mut FixedRng::new(&RAW_KEY)).to_text();
    let bare = shown.replace('-', "");
    // Ten bits from the highest on, once more from the specification.
    let hash = u16::from_be_bytes(derive("key text check", &RAW_KEY)[..2].try_into().unwrap());
    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let check = [hash >> 11, hash >> 6 & 31].map(|value| char::from(digits[usize::from(value)]));
    assert!(bare.ends_with(&check.iter().collect::<String>()));
    let misread = bare.replace('0', "O").replace('1', "l").to_lowercase();
    let mut wrong = bare.clone();
    wrong.replace_range(27.., if bare.ends_with('0') { "2" } else { "0" });
    [
        "ABCDE12345",
        "  trimmed \t\r\n",
        "inner  space-and-hyphen",
        "Grüße",
        &shown,
        &bare,
        &misread,
        &format!(" {} ", shown.replace('-', " - ")),
        &format!("{bare}0"),
        &wrong,
        "",
        " \t",
    ]
    .iter()
    .map(|text| match EncryptionKey::parse(text) {
        Ok(key) => json!({
            "text": text,
            "kind": u8::from(key.is_generated()),
            "prs": hex(&*key.prs()),
            "shown": *key.to_text(),
        }),
        Err(error) => json!({ "text": text, "refused": format!("{error:?}") }),
    })
    .collect()
}

/// A whole session between two fixed sides.
struct Session {
    name: &'static str,
    key: EncryptionKey,
    sides: [Inputs; 2],
}

impl Session {
    fn new(name: &'static str, key: EncryptionKey) -> Self {
        let side = |role, caps| Inputs {
            role,
            version: 1,
            id_connector: *b"aZ09bY",
            id_acceptor: *b"Q7xw2R",
            nonce_connector: *b"connector nonce!",
            nonce_acceptor: *b"acceptor's nonce",
            run: 0x0102,
            caps,
        };
        Self { name, key, sides: [side(Role::Connector, 20), side(Role::Acceptor, 0x18)] }
    }

    fn exchanges(&self) -> [Exchange; 2] {
        [0, 1].map(|i| Exchange::start(self.sides[i], &self.key, &mut FixedRng::new(&RANDOMNESS[i])))
    }

    fn confirming(&self) -> [Confirming; 2] {
        let [c, a] = self.exchanges();
        let (c_share, c_ad, a_share, a_ad) = (c.share(), c.ad(), a.share(), a.ad());
        [c.finish(&a_share, &a_ad).unwrap(), a.finish(&c_share, &c_ad).unwrap()]
    }

    fn secured(&self) -> (Secured, Secured) {
        let [c, a] = self.confirming();
        let ((c_check, c_tag), (a_check, a_tag)) = (c.confirm(), a.confirm());
        match (c.judge(&a_check, &a_tag), a.judge(&c_check, &c_tag)) {
            (Verdict::Secured(c), Verdict::Secured(a)) => (*c, *a),
            other => panic!("{other:?}"),
        }
    }

    fn to_json(&self) -> Value {
        let reference = Reference::new(self);
        let [c, a] = self.exchanges();
        let (c_share, c_ad, a_share, a_ad) = (c.share(), c.ad(), a.share(), a.ad());
        assert_eq!((&c_ad[..], &a_ad[..]), (&reference.ads[0][..], &reference.ads[1][..]));
        assert_eq!((c_share, a_share), (reference.shares[0], reference.shares[1]));
        let [c, a] = self.confirming();
        let ((check, c_tag), (a_check, a_tag)) = (c.confirm(), a.confirm());
        assert_eq!((&check[..], check), (&reference.check[..], a_check));
        assert_eq!((c_tag, a_tag), (reference.tags[0], reference.tags[1]));
        let (c, a) = self.secured();
        for side in [&c, &a] {
            assert_eq!(side.rendezvous[..], reference.subkey("rendezvous")[..16]);
            assert_eq!(side.verifier[..], reference.subkey("verifier")[..16]);
        }
        let inputs = &self.sides[0];
        json!({
            "name": self.name,
            "id_connector": hex(inputs.id_connector),
            "id_acceptor": hex(inputs.id_acceptor),
            "nonce_connector": hex(inputs.nonce_connector),
            "nonce_acceptor": hex(inputs.nonce_acceptor),
            "run": inputs.run,
            "version": inputs.version,
            "caps_connector": self.sides[0].caps,
            "caps_acceptor": self.sides[1].caps,
            "randomness_connector": hex(RANDOMNESS[0]),
            "randomness_acceptor": hex(RANDOMNESS[1]),
            "prs": hex(&*self.key.prs()),
            "ci": hex(&reference.ci),
            "sid": hex(&reference.sid),
            "ad_connector": hex(c_ad),
            "ad_acceptor": hex(a_ad),
            "share_connector": hex(c_share),
            "share_acceptor": hex(a_share),
            "isk": hex(*reference.output.isk),
            "sid_output": hex(reference.output.sid_output),
            "root": hex(reference.root),
            "confirm_connector": hex(reference.subkey("confirm connector")),
            "confirm_acceptor": hex(reference.subkey("confirm acceptor")),
            "data_c2a": hex(reference.subkey("data connector to acceptor")),
            "data_a2c": hex(reference.subkey("data acceptor to connector")),
            "ctrl_c2a": hex(reference.subkey("ctrl connector to acceptor")),
            "ctrl_a2c": hex(reference.subkey("ctrl acceptor to connector")),
            "rendezvous": hex(c.rendezvous),
            "verifier": hex(c.verifier),
            "check": hex(check),
            "tag_connector": hex(c_tag),
            "tag_acceptor": hex(a_tag),
            "generations": reference.generations_json(),
            "records": records(&reference, c, a),
        })
    }
}

/// What the connector seals, one record of each sort, and the acceptor's first of either kind.
fn records(reference: &Reference, mut c: Secured, mut a: Secured) -> Vec<Value> {
    let c2a = reference.subkey("data connector to acceptor");
    let mut list = vec![];
    for (name, plaintext) in [
        ("PART", &b"\x01the first part, "[..]),
        ("END", b"\x02and the last one"),
        ("END of an empty packet", b"\x02"),
        ("MANY", b"\x05\x03one\x00\x05three"),
        ("KEY_UPDATE", b"\x04"),
        ("END in generation 1", b"\x02after the update"),
        ("FIN", b"\x03"),
    ] {
        let generation = usize::from(list.len() > 4);
        let chain = if generation == 0 { c2a } else { derive("record ratchet", &c2a) };
        list.push(record(name, plaintext, &mut c.data_tx, chain, generation));
        if name == "KEY_UPDATE" {
            c.data_tx.ratchet();
        }
    }
    // recv_next 7, send_next 9, window 65,536, both flags.
    let state = unhex("01000000000000000700000000000000090001000003");
    list.push(record("STATE", &state, &mut c.ctrl_tx, reference.subkey("ctrl connector to acceptor"), 0));
    list.push(record(
        "ABORT",
        b"\x02\x01",
        &mut c.ctrl_tx,
        reference.subkey("ctrl connector to acceptor"),
        0,
    ));

    // The other direction has other keys; that they are the right ones shows here and not in the file.
    record("", b"\x02back", &mut a.data_tx, reference.subkey("data acceptor to connector"), 0);
    record("", &state, &mut a.ctrl_tx, reference.subkey("ctrl acceptor to connector"), 0);
    list
}

/// One record, sealed by the code and by the reference.
fn record<K: Kind>(
    name: &str,
    plaintext: &[u8],
    sealer: &mut Sealer<K>,
    chain: [u8; 32],
    generation: usize,
) -> Value {
    let mut sealed = [&[0; HEADER], plaintext, &[0; TAG]].concat();
    let seq = sealer.seal(&mut sealed).unwrap();
    assert_eq!(hex(&sealed), hex(Reference::seal(K::BYTE, seq, chain, plaintext)), "{name}");
    json!({
        "name": name,
        "generation": generation,
        "seq": seq,
        "plaintext": hex(plaintext),
        "record": hex(sealed),
    })
}

/// The same once more from the specification, with nothing but hash functions, a cipher and CPace, which has vectors
/// of its own.
struct Reference {
    ci: Vec<u8>,
    sid: Vec<u8>,
    ads: [Vec<u8>; 2],
    shares: [[u8; 32]; 2],
    output: CpaceOutput,
    root: [u8; 32],
    check: Vec<u8>,
    tags: [[u8; 32]; 2],
}

impl Reference {
    fn new(session: &Session) -> Self {
        let prs = session.key.prs();
        let ci = b"\x09phantom/1\x06aZ09bY\x06Q7xw2R".to_vec();
        let sid = b"connector nonce!acceptor's nonce\x01\x02".to_vec();
        let ads = [
            b"\x01\x00\x01\x02connector nonce!\x00\x00\x00\x14".to_vec(),
            b"\x01\x01\x01\x02acceptor's nonce\x00\x00\x00\x18".to_vec(),
        ];
        let cpace =
            |i: usize| CpaceState::start(&prs, &ci, &sid, &ads[i], &mut FixedRng::new(&RANDOMNESS[i]));
        let shares = [0, 1].map(|i| *cpace(i).share());
        let output = cpace(0).finish(&shares[1], &ads[1]).unwrap();
        let root = derive("session root", &lv_cat(&[&*output.isk, &output.sid_output, &prs]));
        let check = blake3::hash(&lv_cat(&[b"phantom check", &ci, &sid, &output.sid_output]));
        let tags = [("confirm connector", 0), ("confirm acceptor", 1)].map(|(context, i)| {
            *blake3::keyed_hash(&derive(context, &root), &lv_cat(&[&shares[i], &ads[i]])).as_bytes()
        });
        Self { ci, sid, ads, shares, output, root, check: check.as_bytes()[..16].to_vec(), tags }
    }

    fn subkey(&self, name: &str) -> [u8; 32] {
        derive(name, &self.root)
    }

    fn generations_json(&self) -> Vec<Value> {
        let first = self.subkey("data connector to acceptor");
        [first, derive("record ratchet", &first)]
            .iter()
            .enumerate()
            .map(|(generation, chain)| {
                let keys = Self::record_keys(chain);
                json!({
                    "direction": "data_c2a",
                    "generation": generation,
                    "chain": hex(chain),
                    "key": hex(&keys[..32]),
                    "iv": hex(&keys[32..]),
                })
            })
            .collect()
    }

    fn record_keys(chain: &[u8; 32]) -> [u8; 44] {
        let mut keys = [0; 44];
        let context = "phantom v1 2026-11-22 record key and iv";
        blake3::Hasher::new_derive_key(context).update(chain).finalize_xof().fill(&mut keys);
        keys
    }

    fn seal(kind: u8, seq: u64, chain: [u8; 32], plaintext: &[u8]) -> Vec<u8> {
        let keys = Self::record_keys(&chain);
        let mut nonce: [u8; 12] = keys[32..].try_into().unwrap();
        let number = u128::from(seq).to_be_bytes();
        nonce.iter_mut().zip(&number[4..]).for_each(|(n, s)| *n ^= s);
        let header = [&[kind], &seq.to_be_bytes()[..]].concat();
        let mut body = plaintext.to_vec();
        let cipher = ChaCha20Poly1305::new_from_slice(&keys[..32]).unwrap();
        let tag =
            cipher.encrypt_inout_detached(&nonce.into(), &header, InOutBuf::from(&mut body[..])).unwrap();
        [header, body, tag.to_vec()].concat()
    }
}

fn derive(name: &str, material: &[u8]) -> [u8; 32] {
    blake3::derive_key(&["phantom v1 2026-11-22 ", name].concat(), material)
}

/// Names the first value that differs instead of printing two files.
fn assert_same(at: &str, frozen: &Value, computed: &Value) {
    match (frozen, computed) {
        (Value::Object(frozen), Value::Object(computed)) => {
            let names = |object: &serde_json::Map<_, _>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(frozen), names(computed), "names in {at}");
            frozen
                .iter()
                .for_each(|(name, value)| assert_same(&format!("{at}.{name}"), value, &computed[name]));
        }
        (Value::Array(frozen), Value::Array(computed)) => {
            assert_eq!(frozen.len(), computed.len(), "length of {at}");
            for (index, (frozen, computed)) in frozen.iter().zip(computed).enumerate() {
                assert_same(&format!("{at}[{index}]"), frozen, computed);
            }
        }
        _ => assert_eq!(frozen, computed, "{at}: the wire format changed"),
    }
}
