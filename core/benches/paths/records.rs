//! What encryption costs: records, and the agreement on their keys.

use std::hint::black_box;

use phantom_core::crypto::exchange::{Exchange, Inputs, Verdict};
use phantom_core::crypto::record::{Data, HEADER, Opener, Sealer, TAG};
use phantom_core::crypto::schedule::Root;
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::rng::Rng;

use super::{LARGE, MEDIUM, Path, Run, SMALL};

pub(crate) const PATHS: &[Path] = &[
    Path { name: "seal 32 B", bytes: 32, runs: 1000, prepare: || seal(SMALL) },
    Path { name: "seal 1 KiB", bytes: 1024, runs: 500, prepare: || seal(MEDIUM) },
    Path { name: "seal 16 KiB", bytes: 16 << 10, runs: 50, prepare: || seal(LARGE) },
    Path { name: "seal and open 32 B", bytes: 32, runs: 1000, prepare: || seal_and_open(SMALL) },
    Path { name: "seal and open 1 KiB", bytes: 1024, runs: 500, prepare: || seal_and_open(MEDIUM) },
    Path { name: "seal and open 16 KiB", bytes: 16 << 10, runs: 50, prepare: || seal_and_open(LARGE) },
    Path { name: "key agreement, both sides", bytes: 0, runs: 10, prepare: agree },
];

fn root() -> Root {
    Root::new(&[1; 64], &[2; 64], b"a benchmark")
}

fn seal(size: usize) -> Run {
    let mut sealer = Sealer::<Data>::new(root().split(Role::Connector).data_tx);
    let mut record = vec![7; HEADER + size + TAG];
    Box::new(move || {
        black_box(sealer.seal(black_box(&mut record)).expect("the size is right"));
    })
}

/// A record can be opened once only, so that each has to be sealed before. What opening costs is the difference.
fn seal_and_open(size: usize) -> Run {
    let mut sealer = Sealer::<Data>::new(root().split(Role::Connector).data_tx);
    let mut opener = Opener::<Data>::new(root().split(Role::Acceptor).data_rx);
    let mut record = vec![7; HEADER + size + TAG];
    Box::new(move || {
        sealer.seal(black_box(&mut record)).expect("the size is right");
        black_box(opener.open(black_box(&mut record)).expect("it is the next one"));
    })
}

fn agree() -> Run {
    let key = EncryptionKey::parse("ABCDE12345").expect("a key");
    let mut rng = Rng::from_seed(&[4; 32]);
    let inputs = |role| Inputs {
        role,
        version: 1,
        id_connector: *b"AF83X1",
        id_acceptor: *b"B7K2M9",
        nonce_connector: [1; 16],
        nonce_acceptor: [2; 16],
        run: 1,
        caps: 0,
    };
    Box::new(move || {
        let [a, b] =
            [Role::Connector, Role::Acceptor].map(|role| Exchange::start(inputs(role), &key, &mut rng));
        let (a_says, b_says) = ((a.share(), a.ad()), (b.share(), b.ad()));
        let a = a.finish(&b_says.0, &b_says.1).expect("a share");
        let b = b.finish(&a_says.0, &a_says.1).expect("a share");
        let (a_says, b_says) = (a.confirm(), b.confirm());
        assert!(matches!(a.judge(&b_says.0, &b_says.1), Verdict::Secured(_)));
        assert!(matches!(b.judge(&a_says.0, &a_says.1), Verdict::Secured(_)));
    })
}
