//! Every target on its committed corpus, and on some inputs of no meaning: on stable, in the ordinary tests.
#![allow(clippy::unwrap_used, reason = "a test that fails is meant to panic")]

use std::fs;

use phantom_core::rng::Rng;
use phantom_fuzz::{Target, replay};

#[global_allocator]
static METER: phantom_fuzz::Meter = phantom_fuzz::Meter;

fn corpus(target: &Target) {
    let files = replay::files(&replay::corpus(target)).unwrap();
    assert!(!files.is_empty() && files.len() <= 64, "{} files of {}", files.len(), target.name);
    for file in files {
        let data = fs::read(&file).unwrap();
        assert!(data.len() <= 1024, "{} is too long for a seed", file.display());
        // The name of a failing file is the last one in the output.
        println!("{}", file.display());
        target.run(&data);
    }
}

/// Half of the inputs are random bytes, half are files of the corpus with some bytes changed: those get further.
fn random(target: &Target, inputs: u32) {
    let seeds: Vec<_> =
        replay::files(&replay::corpus(target)).unwrap().iter().map(|file| fs::read(file).unwrap()).collect();
    let mut rng = Rng::from_seed(blake3::hash(target.name.as_bytes()).as_bytes());
    for number in 0..inputs {
        let [len, choice, changes] = rng.bytes();
        let mut data = if number % 2 == 0 {
            rng.bytes::<255>()[..usize::from(len)].to_vec()
        } else {
            seeds[usize::from(choice) % seeds.len()].clone()
        };
        for _ in 0..changes % 8 {
            let [high, low, byte] = rng.bytes();
            let len = data.len().max(1);
            if let Some(place) = data.get_mut(usize::from(u16::from_be_bytes([high, low])) % len) {
                *place = byte;
            }
        }
        let _culprit = Culprit(&data);
        target.run(&data);
    }
}

/// Prints the input that a target panicked on, to be put into a file.
struct Culprit<'a>(&'a [u8]);

impl Drop for Culprit<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("the input, for `xxd -r -p`: {hex}");
        }
    }
}

macro_rules! targets {
    ($($name:ident: $target:ident, $inputs:literal;)+) => {$(
        mod $name {
            #[test]
            fn corpus() {
                super::corpus(&phantom_fuzz::$target);
            }

            #[test]
            fn random() {
                super::random(&phantom_fuzz::$target, $inputs);
            }
        }
    )+

    #[test]
    fn every_target_is_replayed() {
        assert_eq!([$(stringify!($name)),+], phantom_fuzz::TARGETS.map(|target| target.name));
    }
    };
}

targets! {
    frame: FRAME, 20_000;
    record: RECORD, 2_000;
    bits: BITS, 20_000;
    packet: PACKET, 20_000;
    key_text: KEY_TEXT, 5_000;
    relay_inputs: RELAY_INPUTS, 2_000;
    client_inputs: CLIENT_INPUTS, 300;
    peer_inputs: PEER_INPUTS, 300;
    world: WORLD, 100;
}

#[test]
fn the_meter_counts_what_is_held_at_once() {
    let peak = phantom_fuzz::peak_during(|| {
        drop(vec![1_u8; 10_000]);
        let mut grown = vec![2_u8; 3_000];
        grown.reserve_exact(1_000);
        drop(grown);
    });
    assert_eq!(peak, 10_000);
}
