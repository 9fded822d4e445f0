//! What the tests of this module share, and the tests of the whole machine.

mod channel;
mod client;
mod commands;
mod hostile;
mod world;

use crate::crypto::exchange::{Exchange, Inputs, Secured, Verdict};
use crate::crypto::{EncryptionKey, Role};
use crate::rng::Rng;

/// The two ends of a session, connector first.
pub(super) fn secured_pair() -> (Secured, Secured) {
    let key = EncryptionKey::parse("ABCDE12345").unwrap();
    let mut rng = Rng::from_seed(&[7; 32]);
    let start = |role, rng: &mut Rng| {
        let inputs = Inputs {
            role,
            version: 1,
            id_connector: *b"AAAAAA",
            id_acceptor: *b"BBBBBB",
            nonce_connector: [1; 16],
            nonce_acceptor: [2; 16],
            run: 1,
            caps: 20,
        };
        Exchange::start(inputs, &key, rng)
    };
    let (a, b) = (start(Role::Connector, &mut rng), start(Role::Acceptor, &mut rng));
    let ((a_share, a_ad), (b_share, b_ad)) = ((a.share(), a.ad()), (b.share(), b.ad()));
    let (a, b) = (a.finish(&b_share, &b_ad).unwrap(), b.finish(&a_share, &a_ad).unwrap());
    let ((a_check, a_tag), (b_check, b_tag)) = (a.confirm(), b.confirm());
    (secured(a.judge(&b_check, &b_tag)), secured(b.judge(&a_check, &a_tag)))
}

fn secured(verdict: Verdict) -> Secured {
    match verdict {
        Verdict::Secured(secured) => *secured,
        other => panic!("{other:?}"),
    }
}
