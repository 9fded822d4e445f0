//! The key schedule: every key of a session and where it comes from.
//!
//! The rule: **one context string, one use.** Context strings are fixed text; what varies is key material only. They
//! are part of the wire format: changing one makes two clients disagree.
//!
//! ```text
//! root       = derive(SESSION_ROOT, lv_cat(ISK, sid_output, PRS))
//! confirm, data, ctrl keys of both roles, rendezvous, verifier = derive(context, root)
//! generation g of a direction: key(32) || iv(12) = derive(RECORD_KEYS, chain_g)
//!                              chain_{g+1}       = derive(RECORD_RATCHET, chain_g)
//! ```
//!
//! `derive` is BLAKE3 in key derivation mode, extended or cut to the length asked for.
//!
//! The PRS goes into the root beside ISK, which is a secret already: with a generated key, traffic recorded today stays
//! closed to somebody who can compute discrete logarithms later.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Role, lv_cat, opaque_debug};

const SESSION_ROOT: &str = "phantom v1 2026-11-22 session root";
const CONFIRM_CONNECTOR: &str = "phantom v1 2026-11-22 confirm connector";
const CONFIRM_ACCEPTOR: &str = "phantom v1 2026-11-22 confirm acceptor";
const DATA_C2A: &str = "phantom v1 2026-11-22 data connector to acceptor";
const DATA_A2C: &str = "phantom v1 2026-11-22 data acceptor to connector";
const CTRL_C2A: &str = "phantom v1 2026-11-22 ctrl connector to acceptor";
const CTRL_A2C: &str = "phantom v1 2026-11-22 ctrl acceptor to connector";
const RENDEZVOUS: &str = "phantom v1 2026-11-22 rendezvous";
const VERIFIER: &str = "phantom v1 2026-11-22 verifier";
const RECORD_KEYS: &str = "phantom v1 2026-11-22 record key and iv";
const RECORD_RATCHET: &str = "phantom v1 2026-11-22 record ratchet";
/// The check characters of a generated key.
pub(super) const KEY_CHECK: &str = "phantom v1 2026-11-22 key text check";

const CHECK_LABEL: &[u8] = b"phantom check";

/// The secret of a session that all its keys come from. Wiped when they have been split off.
pub struct Root(Zeroizing<[u8; 32]>);

opaque_debug!(Root);
impl ZeroizeOnDrop for Root {}

impl Root {
    /// The root of a run: `isk` and `sid_output` from CPace, `prs` what the key gave to CPace.
    pub fn new(isk: &[u8; 64], sid_output: &[u8; 64], prs: &[u8]) -> Self {
        Self(derive(SESSION_ROOT, &lv_cat(&[isk, sid_output, prs])))
    }

    /// Every key of the session, as the side in `role` uses them.
    pub fn split(self, role: Role) -> SessionKeys {
        let confirm = [CONFIRM_CONNECTOR, CONFIRM_ACCEPTOR].map(|context| ConfirmKey(self.derive(context)));
        let data = [DATA_C2A, DATA_A2C].map(|context| ChainKey(self.derive(context)));
        let ctrl = [CTRL_C2A, CTRL_A2C].map(|context| ChainKey(self.derive(context)));
        let (confirm_own, confirm_peer) = own_first(role, confirm);
        let (data_tx, data_rx) = own_first(role, data);
        let (ctrl_tx, ctrl_rx) = own_first(role, ctrl);
        SessionKeys {
            confirm_own,
            confirm_peer,
            data_tx,
            data_rx,
            ctrl_tx,
            ctrl_rx,
            rendezvous: *self.derive(RENDEZVOUS),
            verifier: *self.derive(VERIFIER),
        }
    }

    fn derive<const N: usize>(&self, context: &str) -> Zeroizing<[u8; N]> {
        derive(context, &*self.0)
    }
}

/// Connector first as it is in the schedule; own first as a side needs it.
fn own_first<T>(role: Role, [connector, acceptor]: [T; 2]) -> (T, T) {
    match role {
        Role::Connector => (connector, acceptor),
        Role::Acceptor => (acceptor, connector),
    }
}

/// The keys of one side of a session.
pub struct SessionKeys {
    /// Makes our CONFIRM.
    pub confirm_own: ConfirmKey,
    /// Makes the CONFIRM the other side must send.
    pub confirm_peer: ConfirmKey,
    /// What we seal DATA with.
    pub data_tx: ChainKey,
    /// What the other side seals DATA with.
    pub data_rx: ChainKey,
    /// What we seal CTRL with.
    pub ctrl_tx: ChainKey,
    /// What the other side seals CTRL with.
    pub ctrl_rx: ChainKey,
    /// By which the two sides find each other again; the relay sees it when they do.
    pub rendezvous: [u8; 16],
    /// For two people to compare, if they fear that somebody else has their key.
    pub verifier: [u8; 16],
}

opaque_debug!(SessionKeys);

/// A key for one CONFIRM of one role.
pub struct ConfirmKey(Zeroizing<[u8; 32]>);

opaque_debug!(ConfirmKey);
impl ZeroizeOnDrop for ConfirmKey {}

impl ConfirmKey {
    /// The tag over the share and the associated data that the key's role sent.
    pub fn tag(&self, share: &[u8; 32], ad: &[u8]) -> [u8; 32] {
        keyed(&self.0, &lv_cat(&[share, ad]))
    }
}

/// The secret of one direction in one generation.
pub struct ChainKey(Zeroizing<[u8; 32]>);

opaque_debug!(ChainKey);
impl ZeroizeOnDrop for ChainKey {}

impl ChainKey {
    /// Key (32 bytes) and initialisation vector (12 bytes) of this generation.
    pub(super) fn record_keys(&self) -> Zeroizing<[u8; 44]> {
        derive(RECORD_KEYS, &*self.0)
    }

    /// Moves on to the next generation; this one is overwritten and cannot be computed back.
    pub(super) fn ratchet(&mut self) {
        self.0 = derive(RECORD_RATCHET, &*self.0);
    }
}

/// The public value by which both sides see that they worked on the same channel and the same messages, whatever their
/// keys.
pub fn check(ci: &[u8], sid: &[u8], sid_output: &[u8; 64]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(&lv_cat(&[CHECK_LABEL, ci, sid, sid_output])).as_bytes()[..16]);
    out
}

/// BLAKE3 key derivation to `N` bytes, with nothing of `material` left in the hasher.
pub(super) fn derive<const N: usize>(context: &str, material: &[u8]) -> Zeroizing<[u8; N]> {
    output(blake3::Hasher::new_derive_key(context), material)
}

/// BLAKE3 under a key, `N` bytes of it.
pub(super) fn keyed<const N: usize>(key: &[u8; 32], message: &[u8]) -> [u8; N] {
    *output(blake3::Hasher::new_keyed(key), message)
}

fn output<const N: usize>(mut hasher: blake3::Hasher, input: &[u8]) -> Zeroizing<[u8; N]> {
    hasher.update(input);
    let mut reader = hasher.finalize_xof();
    let mut out = Zeroizing::new([0; N]);
    reader.fill(&mut *out);
    reader.zeroize();
    hasher.zeroize();
    out
}
