//! Sends back whatever a WebSocket client says, for tools that test WebSocket servers: `cargo run --example echo [ADDR]`.
//!
//! It prints the URL it listens at, and serves until it is ended.

use std::env;
use std::io;
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0"))?;
    println!("ws://{}", listener.local_addr()?);
    phantom_mio::conformance::echo(&listener)
}
