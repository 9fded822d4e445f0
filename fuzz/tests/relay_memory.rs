//! What the relay says of its own memory, against what the allocator has given it.

use std::net::Ipv4Addr;

use phantom_core::id::{ConnId, PeerId};
use phantom_core::relay::{Input, Output, Rate, Relay, RelayConfig, RelaySecret, Source};
use phantom_core::time::{Duration, Instant};
use phantom_core::wire::{ClientFrame, RelayFrame, VERSION};
use phantom_fuzz::{Meter, kept_by};

#[global_allocator]
static METER: Meter = Meter;

const NOW: Instant = Instant::from_micros(1_000_000);

fn new_relay() -> Relay {
    let mut config = RelayConfig::new(RelaySecret::new(1, [1; 32]), 1_800_000_000);
    config.limits.connect_rate = Rate::new(1, Duration::ZERO);
    Relay::new(config, [2; 32])
}

/// Clients from as many addresses, the last one given, until there are `up_to` of them.
fn join(relay: &mut Relay, clients: &mut Vec<(ConnId, PeerId)>, up_to: u32) {
    for number in 0..up_to {
        let source = Source::Address(Ipv4Addr::from_bits(number).into());
        let conn = relay.open(NOW, source).expect("there is room");
        say(relay, conn, ClientFrame::Register { version: VERSION, channels: 64 });
        while let Some(output) = relay.poll_output() {
            if let Output::Transmit { frame, .. } = output
                && let Ok(RelayFrame::Welcome(welcome)) = RelayFrame::decode(&frame)
            {
                clients.push((conn, welcome.id));
            }
        }
    }
}

fn say(relay: &mut Relay, from: ConnId, frame: ClientFrame) {
    let _ = relay.handle(NOW, Input::Frame { from, frame: &mut frame.encode().to_vec() });
}

fn drain(relay: &mut Relay) {
    while relay.poll_output().is_some() {}
}

/// The estimate is not below what is taken, and not far above it.
#[track_caller]
fn check(relay: &Relay, kept: usize, what: &str) {
    let said = relay.memory();
    println!("{what}: {kept} bytes taken, {said} bytes said");
    assert!(said >= kept, "{what}: {kept} bytes are taken, {said} are said");
    assert!(said <= 3 * kept + 4096, "{what}: {kept} bytes are taken, {said} are said");
}

#[test]
fn the_estimate_covers_what_is_taken() {
    const CLIENTS: u32 = 5_000;
    let mut relay = new_relay();
    let mut clients = Vec::with_capacity(CLIENTS as usize);
    let mut kept = kept_by(|| join(&mut relay, &mut clients, CLIENTS));
    check(&relay, kept, "clients");
    kept += kept_by(|| {
        for &(from, _) in &clients {
            for request in 1..=3 {
                let target =
                    PeerId::from_bytes(format!("{request:06}").into_bytes().try_into().unwrap()).unwrap();
                say(&mut relay, from, ClientFrame::Connect { request, target, nonce: [0; 16] });
                drain(&mut relay);
            }
        }
    });
    assert!(relay.stats().requests > 10_000 && relay.stats().sources == u64::from(CLIENTS));
    check(&relay, kept, "requests");
    kept += kept_by(|| {
        for (number, &(from, _)) in (0_u32..).zip(&clients) {
            for value in 0..16 + number % 5 {
                let mut rendezvous = [0; 16];
                rendezvous[..8].copy_from_slice(&[number.to_be_bytes(), value.to_be_bytes()].concat());
                say(&mut relay, from, ClientFrame::Rejoin { rendezvous, role: 0 });
            }
        }
    });
    check(&relay, kept, "rejoins");
    kept += kept_by(|| {
        for (number, pair) in (0_u32..).zip(clients.chunks_exact(2)) {
            for value in 0..10_u32 {
                let mut rendezvous = [1; 16];
                rendezvous[..8].copy_from_slice(&[number.to_be_bytes(), value.to_be_bytes()].concat());
                // The same two have one channel; so each meets its neighbours' neighbours.
                let other = clients[(number as usize * 2 + 1 + 2 * value as usize) % clients.len()].0;
                say(&mut relay, pair[0].0, ClientFrame::Rejoin { rendezvous, role: 0 });
                say(&mut relay, other, ClientFrame::Rejoin { rendezvous, role: 1 });
                drain(&mut relay);
            }
        }
    });
    assert!(relay.stats().channels > 20_000);
    check(&relay, kept, "channels");
}

/// Afterwards the tables are small again, as far as they can be.
#[test]
fn memory_is_given_back() {
    let mut relay = new_relay();
    let mut clients = Vec::new();
    join(&mut relay, &mut clients, 2_000);
    for &(from, _) in &clients {
        let target = clients[0].1;
        say(&mut relay, from, ClientFrame::Connect { request: 1, target, nonce: [0; 16] });
    }
    drain(&mut relay);
    let before = relay.memory();
    for &(conn, _) in &clients {
        let _ = relay.handle(NOW, Input::Closed { conn });
        drain(&mut relay);
    }
    for minute in 1..60 {
        let _ = relay.handle(NOW + Duration::from_secs(60 * minute), Input::Timeout);
    }
    assert_eq!((relay.stats().sources, relay.stats().pairs), (0, 0));
    println!("{before} bytes before, {} after", relay.memory());
    assert!(relay.memory() < before, "{before} bytes before, {} after", relay.memory());
}
