//! One run of the handshake, from the share to the verdict.
//!
//! ```text
//! Exchange::start ──> SHARE { share, ad } out
//!   .finish(peer's share, peer's ad) ──> Confirming ──> CONFIRM { check, tag } out
//!     .judge(peer's check, peer's tag) ──> Verdict::Secured(keys) | KeysDiffer | HandshakeAltered
//! ```
//!
//! The rules this file enforces:
//!
//! * Each step consumes the one before: a scalar meets one share, a CONFIRM is judged once, a run gives one guess.
//! * Sealers and openers are reachable only through [`Verdict::Secured`], so nothing is sealed before the other side
//!   has proved that it holds the same key.
//! * Both sides send CONFIRM whenever there is a key to make it of, also when the verdict is already lost, so that both
//!   users learn the outcome. A side whose share arrived altered still confirms: its tag is made of a transcript the
//!   other side does not have, so it can secure nothing.
//!
//! ```text
//! CI  = lv_cat("phantom/1", id_connector, id_acceptor)
//! sid = nonce_connector 16 || nonce_acceptor 16 || run u16
//! AD  = version u8 || role u8 || run u16 || own nonce 16 || caps u32            24 bytes, big endian
//! ```

use alloc::{boxed::Box, vec::Vec};

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    EncryptionKey, Role,
    cpace::CpaceState,
    lv_cat, opaque_debug,
    record::{Ctrl, Data, Opener, Sealer},
    schedule::{self, Root},
};

pub use super::cpace::ShareError;

/// Bytes of the associated data that go with a share.
pub const AD: usize = 24;

const CI_LABEL: &[u8] = b"phantom/1";

/// What both sides know of a run before it begins, each from its own user's act and the relay's signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The side we are.
    pub role: Role,
    /// The highest protocol version we speak, at least 1.
    pub version: u8,
    /// The connector's ID at the time the channel was opened.
    pub id_connector: [u8; 6],
    /// The acceptor's ID at the time the channel was opened.
    pub id_acceptor: [u8; 6],
    /// The connector's nonce of the channel.
    pub nonce_connector: [u8; 16],
    /// The acceptor's nonce of the channel.
    pub nonce_acceptor: [u8; 16],
    /// The number of the run in the channel, from 1.
    pub run: u16,
    /// What we can take; see the protocol for its bits.
    pub caps: u32,
}

impl Inputs {
    fn ci(&self) -> Zeroizing<Vec<u8>> {
        lv_cat(&[CI_LABEL, &self.id_connector, &self.id_acceptor])
    }

    fn sid(&self) -> [u8; 34] {
        let mut sid = [0; 34];
        sid[..16].copy_from_slice(&self.nonce_connector);
        sid[16..32].copy_from_slice(&self.nonce_acceptor);
        sid[32..].copy_from_slice(&self.run.to_be_bytes());
        sid
    }

    fn ad(&self) -> [u8; AD] {
        self.ad_of(self.role, self.version, self.caps)
    }

    fn ad_of(&self, role: Role, version: u8, caps: u32) -> [u8; AD] {
        let mut ad = [0; AD];
        ad[0] = version;
        ad[1] = role as u8;
        ad[2..4].copy_from_slice(&self.run.to_be_bytes());
        ad[4..20].copy_from_slice(match role {
            Role::Connector => &self.nonce_connector,
            Role::Acceptor => &self.nonce_acceptor,
        });
        ad[20..].copy_from_slice(&caps.to_be_bytes());
        ad
    }

    /// Version and caps of the other side, if the rest of its associated data is what the signalling made us expect.
    fn read_peer_ad(&self, ad: &[u8; AD]) -> Option<(u8, u32)> {
        let [version, .., c0, c1, c2, c3] = *ad;
        let caps = u32::from_be_bytes([c0, c1, c2, c3]);
        let fits = version >= 1 && *ad == self.ad_of(self.role.opposite(), version, caps);
        fits.then_some((version, caps))
    }
}

/// A run that has begun: our share is made, the other side's is awaited.
pub struct Exchange {
    inputs: Inputs,
    prs: Zeroizing<Vec<u8>>,
    cpace: CpaceState,
}

opaque_debug!(Exchange);

impl Exchange {
    /// Begins a run with a fresh scalar. Every run needs its own, also with the same key.
    pub fn start(inputs: Inputs, key: &EncryptionKey, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let prs = key.prs();
        let cpace = CpaceState::start(&prs, &inputs.ci(), &inputs.sid(), &inputs.ad(), rng);
        Self { inputs, prs, cpace }
    }

    /// Our share, to be sent.
    pub fn share(&self) -> [u8; 32] {
        *self.cpace.share()
    }

    /// Our associated data, to be sent with the share.
    pub fn ad(&self) -> [u8; AD] {
        self.inputs.ad()
    }

    /// The number of the run.
    pub fn run(&self) -> u16 {
        self.inputs.run
    }

    /// Takes the other side's share. From here on there is a CONFIRM to send.
    ///
    /// Associated data other than the signalling made us expect are no error here: the run goes on to its CONFIRM and
    /// its verdict is [`Verdict::HandshakeAltered`]; see [`Confirming::is_altered`].
    ///
    /// # Errors
    /// [`ShareError`], reported as HandshakeInvalid: the share is no share, or our own. The run is over without a
    /// CONFIRM and has told the other side nothing of the key.
    pub fn finish(self, peer_share: &[u8; 32], peer_ad: &[u8; AD]) -> Result<Confirming, ShareError> {
        let Self { inputs, prs, cpace } = self;
        let (own_share, own_ad) = (*cpace.share(), inputs.ad());
        let output = cpace.finish(peer_share, peer_ad)?;
        let keys = Root::new(&output.isk, &output.sid_output, &prs).split(inputs.role);
        let peer = inputs.read_peer_ad(peer_ad);
        let (peer_version, peer_caps) = peer.unwrap_or_default();
        Ok(Confirming {
            altered: peer.is_none(),
            check: schedule::check(&inputs.ci(), &inputs.sid(), &output.sid_output),
            tag: keys.confirm_own.tag(&own_share, &own_ad),
            expected: Zeroizing::new(keys.confirm_peer.tag(peer_share, peer_ad)),
            secured: Box::new(Secured {
                data_tx: Sealer::new(keys.data_tx),
                data_rx: Opener::new(keys.data_rx),
                ctrl_tx: Sealer::new(keys.ctrl_tx),
                ctrl_rx: Opener::new(keys.ctrl_rx),
                rendezvous: keys.rendezvous,
                verifier: keys.verifier,
                peer_version,
                peer_caps,
            }),
        })
    }
}

/// A run with both shares: our CONFIRM can be sent, the other side's is awaited.
pub struct Confirming {
    altered: bool,
    check: [u8; 16],
    tag: [u8; 32],
    /// The tag the other side must send: whoever learns it early could pass for it.
    expected: Zeroizing<[u8; 32]>,
    secured: Box<Secured>,
}

opaque_debug!(Confirming);

impl Confirming {
    /// Our CONFIRM, check and tag; the same at every call, and safe to keep and to repeat. To send it gives the other
    /// side one guess at the key: charge it before.
    pub fn confirm(&self) -> ([u8; 16], [u8; 32]) {
        (self.check, self.tag)
    }

    /// By which to find the other side again if the channel is cut before its CONFIRM comes.
    pub fn rendezvous(&self) -> [u8; 16] {
        self.secured.rendezvous
    }

    /// Whether the verdict can only be [`Verdict::HandshakeAltered`], because the other side's associated data did not
    /// match the signalling. It may be reported at once; the CONFIRM is sent nevertheless.
    pub fn is_altered(&self) -> bool {
        self.altered
    }

    /// Judges the other side's CONFIRM, once. A repeated one is not judged again but ignored.
    pub fn judge(self, peer_check: &[u8; 16], peer_tag: &[u8; 32]) -> Verdict {
        let same_transcript = bool::from(self.check.ct_eq(peer_check));
        let same_key = bool::from(self.expected.ct_eq(peer_tag));
        if self.altered || !same_transcript {
            Verdict::HandshakeAltered
        } else if same_key {
            Verdict::Secured(self.secured)
        } else {
            Verdict::KeysDiffer
        }
    }
}

/// The outcome of a run. The relay can turn any outcome into a failure, and none into [`Secured`](Self::Secured).
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The other side holds the same key.
    Secured(Box<Secured>),
    /// Both worked on the same messages with different keys, or the relay interferes: it knows what it takes to make
    /// it look so.
    KeysDiffer,
    /// The two sides did not see the same messages: the relay mixed or changed them.
    HandshakeAltered,
}

/// The session of a run that both sides confirmed.
pub struct Secured {
    /// Seals our packets.
    pub data_tx: Sealer<Data>,
    /// Opens the other side's packets.
    pub data_rx: Opener<Data>,
    /// Seals our control messages.
    pub ctrl_tx: Sealer<Ctrl>,
    /// Opens the other side's control messages.
    pub ctrl_rx: Opener<Ctrl>,
    /// By which the two sides find each other again.
    pub rendezvous: [u8; 16],
    /// For two people to compare. Both sides have the same; somebody in the middle cannot make it so.
    pub verifier: [u8; 16],
    /// The highest version the other side speaks, authenticated. The lower of the two is spoken.
    pub peer_version: u8,
    /// What the other side can take, authenticated.
    pub peer_caps: u32,
}

opaque_debug!(Secured);

#[cfg(test)]
mod tests;
