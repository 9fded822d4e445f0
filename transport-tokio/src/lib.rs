//! The Phantom client on tokio: two programs meet through a relay that cannot read them.
//!
//! ```no_run
//! use phantom_tokio::{Client, EncryptionKey, Packet};
//!
//! #[derive(Packet)]
//! #[packet(id = 1)]
//! struct Message(String);
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:7777").await?;
//! println!("My ID is {}", client.id());
//! client.set_encryption_key(EncryptionKey::parse("ABCDE12345")?);
//!
//! let channel = client.ask("AF83X1".parse()?).await?;
//! channel.send(&Message("Приветик!!!".into())).await?;
//! while let Some(Message(text)) = channel.receive().await? {
//!     println!("{text}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! * A [`Client`] has one link to a relay and an ID there. It dials again by itself when the link is lost; its channels wait and go
//!   on where they were. [`Client::ask`] asks another client for a channel, [`Client::next_request`] is where others ask this one.
//! * A [`Channel`] carries packets to one other client and back: encrypted between the two, in order, each once. It is usable at
//!   once; what is sent before both sides have set the same key waits for that.
//! * One task on the tokio runtime does the work. It is started by `connect` and ends when the `Client` is dropped.
//!
//! * A channel can be a [`ByteStream`], which reads and writes like a TCP connection.
//! * With the feature `tracing`, which is off by default, a client tells what happens: a span `phantom_client` for each, a span
//!   `channel` in it for each channel, and events in them for dial, online, offline, request, opened, secured, interrupted, resumed and
//!   ended. IDs are told at the level `debug` only; keys, tokens and what is in packets are never told.
//!
//! # What holds for every future here
//!
//! It is `Send`, and it may be dropped at any time: what it has not returned has not happened, or is undone. A packet is either
//! taken by [`Channel::send`], which then returned its number, or it is not; a packet is never lost between two calls of
//! [`Channel::receive_bytes`]. Where a call goes on though nobody waits for it, its text says so. The library starts no threads, prints nothing, and panics on nothing that comes from outside.
#![forbid(unsafe_code)]

mod ahead;
mod builder;
mod channel;
mod client;
mod clock;
mod dial;
mod driver;
mod error;
mod event;
mod fingerprint;
mod handlers;
mod link;
mod news;
mod pipe;
mod proxy;
mod read_buffer;
mod request;
mod socket;
mod stats;
mod stream;
mod tls;
mod token;
mod trace;
mod tunnel;
mod url;
mod wait;
mod waker;
mod websocket;

pub use builder::ClientBuilder;
pub use channel::{Channel, Receiver, Sender};
pub use client::Client;
pub use error::{
    AskError, ChannelError, Error, ErrorKind, HandleError, ProxyProblem, ReceiveError, SendError, Step,
};
pub use event::{ChannelState, Event};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use handlers::Handlers;
pub use request::Request;
pub use stats::{ChannelStats, ClientStats, Rates};
pub use stream::{ByteReader, ByteStream, ByteWriter};

pub use phantom_core::client::{ClientLimits, ConnectError, End, Fate, Held, SetKeyError, Traffic};
pub use phantom_core::crypto::{EncryptionKey, Role};
pub use phantom_core::id::{ChannelId, PeerId};
pub use phantom_core::packet::{self, Packet, Registry};
pub use phantom_core::wire::{Answer, CloseCode, Ended};
