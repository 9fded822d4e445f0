//! The Phantom protocol as sans-IO state machines: two programs that cannot reach each other meet through a relay that
//! cannot read them.
//!
//! * [`client::Client`] has one link to a relay, asks and is asked, and has channels: typed packets, end-to-end encrypted, in order,
//!   nothing lost or doubled, through cut sockets and relay restarts.
//! * [`relay::Relay`] gives IDs, lets two clients agree to meet, and forwards between them what it cannot read.
//!
//! Both have the same three verbs. Tell a machine what happened with `handle`, drain `poll_output`, wait until `poll_timeout` or
//! the next thing that happens. There is no clock, entropy, socket, thread or lock inside; time is a number that you hand in, and
//! randomness a seed of 32 bytes at construction. It needs no `std`, only `alloc`.
//!
//! ```
//! use phantom_core::client::{Client, ClientConfig, Input, Output};
//! use phantom_core::time::Instant;
//!
//! # let entropy = [7; 32];
//! let mut client = Client::new(ClientConfig::default(), entropy);
//! # let (mut now, mut sent) = (Instant::ZERO, 0);
//! # let mut transport: Vec<bytes::BytesMut> = vec![];
//! # for _ in 0..3 {
//! // In your event loop, whatever it is:
//! client.handle(now, Input::Timeout);
//! while let Some(output) = client.poll_output() {
//!     match output {
//!         Output::Dial { relay: _ } => client.handle(now, Input::Connected), // when your transport stands
//!         Output::Transmit(frame) => sent += frame.len(),                    // one message of it
//!         Output::HangUp(code) => println!("closing the transport: {code}"),
//!         Output::Event(event) => println!("{event:?}"),
//!     }
//! }
//! let wake_me = client.poll_timeout().map(|deadline| deadline.at);           // or when a message comes:
//! for message in transport.drain(..) {
//!     client.handle(now, Input::Received(message));
//! }
//! # now = wake_me.unwrap();
//! # }
//! # assert!(sent == 0 && now > Instant::ZERO);
//! ```
//!
//! A whole program of forty lines is in `examples/pipe.rs`. The bytes are specified in `PROTOCOL.md`.
//!
//! # Layers
//!
//! Imports point one way. [`wire`] knows nothing above it; [`relay`] never imports [`crypto`], so the module graph shows that it
//! cannot read what it forwards; [`packet`] and [`bits`] are for the application and known to neither machine, and [`websocket`] is for
//! adapters.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
pub mod bits;
pub mod client;
pub mod crypto;
pub mod id;
pub mod packet;
pub mod relay;
pub mod rng;
pub mod time;
pub mod websocket;
pub mod wire;
#[cfg(test)]
mod words;

/// When a machine wants to be called again, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// The moment.
    pub at: time::Instant,
    /// What is waited for, in words.
    pub reason: &'static str,
}
