//! CPace, suite CPACE-RISTR255-SHA512 of draft-irtf-cfrg-cpace-21, in the symmetric setting.
//!
//! The rules this file enforces:
//!
//! * A scalar serves once: [`CpaceState::finish`] consumes the state, which can be neither copied nor stored.
//! * A share that does not decode, that leads to the identity, or that is our own, is refused with one and the same
//!   error.
//! * The shared point K never leaves this file; what comes out is the hash of it.
//!
//! ```text
//! g          = element_derivation(SHA-512(lv_cat(DSI, PRS, zero padding, CI, sid)))
//! Y          = y * g
//! transcript = "oc" || the greater of lv_cat(Ya, ADa) and lv_cat(Yb, ADb) || the other one
//! ISK        = SHA-512(lv_cat(DSI || "_ISK", sid, K) || transcript)
//! sid_output = SHA-512("CPaceSidOutput" || transcript)
//! ```

use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::{RistrettoPoint, Scalar, ristretto::CompressedRistretto, traits::Identity};
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{leb128_len, lv_cat, opaque_debug};

const DSI: &[u8] = b"CPaceRistretto255";
const DSI_ISK: &[u8] = b"CPaceRistretto255_ISK";
const SID_OUTPUT: &[u8] = b"CPaceSidOutput";
/// The input block of SHA-512: the padding puts the whole password-related string into the first one.
const BLOCK: usize = 128;

/// Our half of a run: the scalar, and what both sides hash at the end.
pub struct CpaceState {
    scalar: Zeroizing<Scalar>,
    share: [u8; 32],
    sid: Vec<u8>,
    ad: Vec<u8>,
}

opaque_debug!(CpaceState);
impl ZeroizeOnDrop for CpaceState {}

impl CpaceState {
    /// Begins a run: draws a scalar (64 bytes of `rng`, reduced) and makes the share of it.
    ///
    /// `prs` is what the password gives, `ci` the identities of the channel, `sid` the session, `ad` what goes along
    /// with the share and is authenticated with it. In the symmetric setting the two sides' `ad` must differ.
    pub fn start(prs: &[u8], ci: &[u8], sid: &[u8], ad: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut wide = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut *wide);
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
        let generator = Zeroizing::new(calculate_generator(prs, ci, sid));
        let share = (*generator * *scalar).compress().to_bytes();
        Self { scalar, share, sid: sid.to_vec(), ad: ad.to_vec() }
    }

    /// The share to send.
    pub fn share(&self) -> &[u8; 32] {
        &self.share
    }

    /// Ends the run with what the other side sent.
    ///
    /// The output is a shared secret only if the other side used the same inputs; that it did must be confirmed.
    ///
    /// # Errors
    /// [`ShareError`] if the share is no point, gives the identity, or is our own.
    pub fn finish(self, peer_share: &[u8; 32], peer_ad: &[u8]) -> Result<CpaceOutput, ShareError> {
        if *peer_share == self.share {
            return Err(ShareError);
        }
        let k = scalar_mult_vfy(&self.scalar, peer_share)?;
        let transcript = transcript_oc((&self.share, &self.ad), (peer_share, peer_ad));
        let isk = Sha512::new()
            .chain_update(&*lv_cat(&[DSI_ISK, &self.sid, &*k]))
            .chain_update(&transcript)
            .finalize();
        let sid_output = Sha512::new().chain_update(SID_OUTPUT).chain_update(&transcript).finalize();
        Ok(CpaceOutput { isk: Zeroizing::new(isk.into()), sid_output: sid_output.into() })
    }
}

/// What a run gives.
pub struct CpaceOutput {
    /// The intermediate session key: a secret to derive keys from, never a key itself.
    pub isk: Zeroizing<[u8; 64]>,
    /// A public name of the run, made of both shares and both associated data.
    pub sid_output: [u8; 64],
}

opaque_debug!(CpaceOutput);

/// The other side's share cannot be used: a hostile or broken peer, or a relay that altered it. Which check failed is
/// not told, to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareError;

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the other side's part of the key agreement is not valid; close the channel and connect again",
        )
    }
}

impl core::error::Error for ShareError {}

/// The generator that belongs to a password in a session.
pub(super) fn calculate_generator(prs: &[u8], ci: &[u8], sid: &[u8]) -> RistrettoPoint {
    let taken = 1 + leb128_len(prs.len()) + prs.len() + leb128_len(DSI.len()) + DSI.len();
    let padding = &[0; BLOCK][..BLOCK.saturating_sub(taken)];
    let hash = Sha512::digest(&*lv_cat(&[DSI, prs, padding, ci, sid]));
    RistrettoPoint::from_uniform_bytes(&Zeroizing::new(hash.into()))
}

/// K, the shared point encoded; refused if `share` is not a point or K would be the identity.
pub(super) fn scalar_mult_vfy(scalar: &Scalar, share: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, ShareError> {
    let point = CompressedRistretto(*share).decompress().ok_or(ShareError)?;
    let k = Zeroizing::new(point * scalar);
    if k.ct_eq(&RistrettoPoint::identity()).into() {
        return Err(ShareError);
    }
    Ok(Zeroizing::new(k.compress().to_bytes()))
}

/// Both sides' messages in an order both sides find by themselves.
fn transcript_oc(ours: (&[u8; 32], &[u8]), theirs: (&[u8; 32], &[u8])) -> Vec<u8> {
    let (ours, theirs) = (lv_cat(&[ours.0, ours.1]), lv_cat(&[theirs.0, theirs.1]));
    let (first, second) = if *ours > *theirs { (ours, theirs) } else { (theirs, ours) };
    [b"oc", &first[..], &second[..]].concat()
}

#[cfg(test)]
mod tests;
