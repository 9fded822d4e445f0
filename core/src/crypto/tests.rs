//! What the tests of the cryptography share, and the promises that hold over all of its files.

extern crate std;

mod secrecy;
mod vectors;

use core::convert::Infallible;
use std::{format, string::String, vec::Vec};

use rand_core::{TryCryptoRng, TryRng};

use super::*;

/// A generator that repeats itself: the same label, the same bytes.
pub(super) struct SeededRng(blake3::OutputReader);

impl SeededRng {
    pub(super) fn new(label: impl AsRef<[u8]>) -> Self {
        Self(blake3::Hasher::new().update(label.as_ref()).finalize_xof())
    }
}

impl TryRng for SeededRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

/// A generator that gives out exactly these bytes and panics if asked for more.
pub(super) struct FixedRng(Vec<u8>);

impl FixedRng {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes that make CPace draw this very scalar: a canonical one is its own reduction.
    pub(super) fn scalar(scalar: &[u8; 32]) -> Self {
        Self([&scalar[..], &[0; 32]].concat())
    }
}

impl TryRng for FixedRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        assert!(out.len() <= self.0.len(), "the fixed randomness is used up");
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.drain(..out.len());
        Ok(())
    }
}

impl TryCryptoRng for FixedRng {}

pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(super) fn unhex_array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

/// Values of draft-irtf-cfrg-cpace-21, appendix A.1.
#[test]
fn lv_cat_as_in_the_draft() {
    let upto = |n: u8| (0..n).collect::<Vec<u8>>();
    assert_eq!(lv_cat(&[b""])[..], [0]);
    assert_eq!(hex(&*lv_cat(&[b"1234"])), "0431323334");
    assert_eq!(*lv_cat(&[&upto(127)]), [&[0x7f], &upto(127)[..]].concat());
    assert_eq!(*lv_cat(&[&upto(128)]), [&[0x80, 0x01], &upto(128)[..]].concat());
    assert_eq!(hex(&*lv_cat(&[b"1234", b"5", b"", b"678"])), "043132333401350003363738");
    for (n, prefix) in [(16_383, &[0xff, 0x7f][..]), (16_384, &[0x80, 0x80, 0x01])] {
        let part = std::vec![7; n];
        assert_eq!(*lv_cat(&[&part]), [prefix, &part].concat());
    }
}

/// To grow, a vector moves, and leaves what it held behind.
#[test]
fn lv_cat_never_moves_its_bytes() {
    for size in 0..400 {
        let joined = lv_cat(&[&std::vec![1; size], &[2; 64], &[]]);
        assert_eq!(joined.len(), joined.capacity(), "one allocation of the right size");
    }
}

#[test]
fn roles_are_opposite() {
    assert_eq!((Role::Connector as u8, Role::Acceptor as u8), (0, 1));
    for role in [Role::Connector, Role::Acceptor] {
        assert_ne!(role, role.opposite());
        assert_eq!(role, role.opposite().opposite());
    }
}
