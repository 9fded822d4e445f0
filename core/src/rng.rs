//! The only place where randomness is drawn.
//!
//! A machine is given 32 bytes once and makes all it needs of them: BLAKE3 in extendable-output mode with *fast key
//! erasure*. Each refill replaces the key before a byte of it is handed out, and handed-out bytes are wiped, so a memory
//! image tells nothing of what was drawn before it.

use core::convert::Infallible;
use core::fmt;

use rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, ZeroizeOnDrop};

const CONTEXT: &str = "phantom v1 2026-11-22 generator";
const KEY: usize = 32;
/// Drawn per refill. A handshake takes 80 bytes, an ID fewer than 16.
const POOL: usize = 480;

/// A deterministic cryptographic generator: one seed, one sequence.
#[derive(ZeroizeOnDrop)]
pub struct Rng {
    key: [u8; KEY],
    pool: [u8; POOL],
    /// Bytes of the pool already handed out.
    used: usize,
}

impl Rng {
    /// A generator whose whole output follows from `seed`; the seed must come from real entropy wherever secrets matter.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY]) -> Self {
        let mut rng = Self { key: blake3::derive_key(CONTEXT, seed), pool: [0; POOL], used: POOL };
        rng.refill();
        rng
    }

    fn refill(&mut self) {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut xof = hasher.finalize_xof();
        xof.fill(&mut self.key);
        xof.fill(&mut self.pool);
        xof.zeroize();
        hasher.zeroize();
        self.used = 0;
    }

    fn draw(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.used == POOL {
                self.refill();
            }
            let n = out.len().min(POOL - self.used);
            let (head, rest) = out.split_at_mut(n);
            let taken = &mut self.pool[self.used..self.used + n];
            head.copy_from_slice(taken);
            taken.zeroize();
            self.used += n;
            out = rest;
        }
    }

    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.draw(&mut out);
        out
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.draw(out);
        Ok(())
    }
}

impl TryCryptoRng for Rng {}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence_whatever_the_portions() {
        let (mut a, mut b) = (Rng::from_seed(&[7; 32]), Rng::from_seed(&[7; 32]));
        let whole: [u8; 2000] = a.bytes();
        let mut parts = [0; 2000];
        for chunk in parts.chunks_mut(13) {
            b.draw(chunk);
        }
        assert_eq!(whole, parts);
        assert_ne!(whole[..32], Rng::from_seed(&[8; 32]).bytes::<32>());
    }

    #[test]
    fn numbers_are_bytes_of_the_sequence() {
        let (mut a, mut b) = (Rng::from_seed(&[7; 32]), Rng::from_seed(&[7; 32]));
        assert_eq!(a.try_next_u32(), Ok(u32::from_le_bytes(b.bytes())));
        assert_eq!(a.try_next_u64(), Ok(u64::from_le_bytes(b.bytes())));
    }

    #[test]
    fn what_was_handed_out_is_gone() {
        let mut rng = Rng::from_seed(&[1; 32]);
        let drawn: [u8; 64] = rng.bytes();
        assert!(!rng.pool.windows(8).any(|w| drawn.windows(8).any(|d| d == w)));
    }
}
