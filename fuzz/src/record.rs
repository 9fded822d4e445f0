//! Records: an opener opens exactly what the sealer of its direction sealed, in the order its kind allows, and once; an opening that
//! fails moves nothing.

use phantom_core::crypto::Role;
use phantom_core::crypto::record::{
    Ctrl, Data, HEADER, OpenError, Opener, PLAINTEXT_SEND_MAX, SealError, Sealer, TAG,
};
use phantom_core::crypto::schedule::{Root, SessionKeys};

use crate::feed::Feed;

const STEPS_MAX: usize = 200;

/// Lets `data` seal, deliver, alter and invent records of both kinds.
pub fn record(data: &[u8]) {
    let mut feed = Feed::new(data);
    // Keys of its own for each input: a fuzzer remembers what it has seen compared, and would bring a record that another input sealed.
    let secret = blake3::hash(data);
    let keys = |role: Role| Root::new(&[1; 64], &[2; 64], secret.as_bytes()).split(role);
    let SessionKeys { data_tx, ctrl_tx, .. } = keys(Role::Connector);
    let SessionKeys { data_rx, ctrl_rx, .. } = keys(Role::Acceptor);
    let mut data = Kind::<Data> {
        tx: Sealer::new(data_tx),
        rx: Opener::new(data_rx),
        open: |rx, record| rx.open(record).map(|plaintext| plaintext.to_vec()),
        in_order: true,
        sealed: Vec::new(),
        generation: (0, 0),
    };
    let mut ctrl = Kind::<Ctrl> {
        tx: Sealer::new(ctrl_tx),
        rx: Opener::new(ctrl_rx),
        open: |rx, record| rx.open(record).map(|plaintext| plaintext.to_vec()),
        in_order: false,
        sealed: Vec::new(),
        generation: (0, 0),
    };
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        match feed.byte() % 8 {
            0 => {
                data.tx.ratchet();
                data.generation.0 += 1;
            }
            1 => {
                data.rx.ratchet();
                data.generation.1 += 1;
            }
            2 => {
                data.tx.ratchet();
                data.rx.ratchet();
                data.generation.0 += 1;
                data.generation.1 += 1;
            }
            3 => ctrl.step(&mut feed, 0x11),
            // A record of one kind at the opener of the other.
            4 => {
                if let Some(record) = ctrl.sealed.last() {
                    let stray = record.bytes.clone();
                    data.offer(&stray);
                }
            }
            _ => data.step(&mut feed, 0x10),
        }
    }
}

struct Sealed {
    bytes: Vec<u8>,
    plaintext: Vec<u8>,
    generation: u32,
}

type Open<K> = fn(&mut Opener<K>, &mut [u8]) -> Result<Vec<u8>, OpenError>;

/// One direction's records of one kind.
struct Kind<K: phantom_core::crypto::record::Kind> {
    tx: Sealer<K>,
    rx: Opener<K>,
    open: Open<K>,
    in_order: bool,
    sealed: Vec<Sealed>,
    /// Of the sealer, and of the opener.
    generation: (u32, u32),
}

impl<K: phantom_core::crypto::record::Kind> Kind<K> {
    fn step(&mut self, feed: &mut Feed<'_>, kind: u8) {
        match feed.byte() % 6 {
            0 => self.seal(feed.bytes()),
            1 => {
                // What comes next, as it was sealed.
                let next = usize::try_from(self.rx_next()).ok().and_then(|at| self.sealed.get(at));
                if let Some(bytes) = next.map(|record| record.bytes.clone()) {
                    self.offer(&bytes);
                }
            }
            2 => {
                // Any record again, or too early.
                let at = feed.below(self.sealed.len().max(1));
                if let Some(bytes) = self.sealed.get(at).map(|record| record.bytes.clone()) {
                    self.offer(&bytes);
                }
            }
            3 => {
                let at = feed.below(self.sealed.len().max(1));
                if let Some(mut bytes) = self.sealed.get(at).map(|record| record.bytes.clone()) {
                    let place = usize::from(feed.u16()) % bytes.len();
                    bytes[place] ^= feed.byte();
                    bytes.truncate(bytes.len() - feed.below(2) * feed.below(bytes.len()));
                    self.offer(&bytes);
                }
            }
            4 => {
                // A header that looks right, and anything behind it.
                let seq = self.rx_next().wrapping_add(feed.u64() >> (feed.byte() % 64));
                let mut bytes = vec![kind];
                bytes.extend_from_slice(&seq.to_be_bytes());
                bytes.extend_from_slice(feed.bytes());
                self.offer(&bytes);
            }
            _ => self.offer(feed.bytes()),
        }
    }

    fn rx_next(&self) -> u64 {
        self.rx.next_seq()
    }

    fn seal(&mut self, plaintext: &[u8]) {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(plaintext);
        bytes.extend_from_slice(&[0; TAG]);
        let seq = self.tx.next_seq();
        match self.tx.seal(&mut bytes) {
            Ok(sealed) => {
                assert_eq!((sealed, self.tx.next_seq()), (seq, seq + 1), "each number is sealed once");
                self.sealed.push(Sealed {
                    bytes,
                    plaintext: plaintext.to_vec(),
                    generation: self.generation.0,
                });
            }
            Err(error) => {
                assert_eq!(error, SealError::Size);
                assert!(plaintext.is_empty() || plaintext.len() > PLAINTEXT_SEND_MAX);
                assert_eq!(self.tx.next_seq(), seq);
            }
        }
    }

    fn offer(&mut self, bytes: &[u8]) {
        let next = self.rx_next();
        let known = self.sealed.iter().position(|record| record.bytes == bytes);
        let right = known.filter(|&at| {
            let seq = at as u64;
            let in_turn = if self.in_order { seq == next } else { seq >= next };
            in_turn && self.sealed[at].generation == self.generation.1
        });
        let mut record = bytes.to_vec();
        match ((self.open)(&mut self.rx, &mut record), right) {
            (Ok(opened), Some(at)) => {
                assert_eq!(opened, self.sealed[at].plaintext);
                assert_eq!(self.rx_next(), at as u64 + 1);
            }
            (Err(_), None) => {
                assert!(
                    gives_nothing_away(&record, bytes),
                    "a failed opening leaves the buffer as it was, or wiped"
                );
                assert_eq!(self.rx_next(), next, "a failed opening moves nothing");
            }
            (Ok(_), None) => panic!("opened what was not sealed, or not now"),
            (Err(error), Some(_)) => panic!("refused what was sealed: {error}"),
        }
    }
}

/// Whether a record that was refused is what it was, or has its whole ciphertext wiped and nothing else touched.
fn gives_nothing_away(record: &[u8], before: &[u8]) -> bool {
    let mut wiped = before.to_vec();
    if let Some(body) = wiped.len().checked_sub(TAG).and_then(|end| wiped.get_mut(HEADER..end)) {
        body.fill(0);
    }
    record == before || record == wiped
}
