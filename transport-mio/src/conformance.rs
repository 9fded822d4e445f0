//! For tests of the WebSocket layer by tools that know nothing of this protocol: an echo server over blocking sockets, made of the same
//! handshake, decoder and outbox as the relay. No part of the relay, and no promise to anybody.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use phantom_core::websocket::opcode;

use crate::access::Access;
use crate::handshake::{Handshake, Progress};
use crate::inbound::{Fault, INPUT_MIN, Inbound, Incoming, Rules};
use crate::outbox::Outbox;
use crate::proxy::ClientAddresses;

/// The longest message that comes back.
pub const MESSAGE_MAX: usize = 32 * 1024 * 1024;

/// Sends back every message, text or binary, on every connection, until accepting fails.
///
/// # Errors
/// What accepting a connection fails with.
pub fn echo(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept()?;
        // A test that ends its connection in the middle is no matter of the next one.
        thread::spawn(move || serve(socket).err());
    }
}

fn serve(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut inbound, mut outbox, mut replies) = (Inbound::default(), Outbox::default(), Vec::new());
    let mut input = vec![0; 2 * INPUT_MIN];
    let mut begin = shake_hands(&mut socket, &mut input)?;
    loop {
        let mut part = match begin.take() {
            Some(bytes) => bytes,
            None => {
                let filled = inbound.fill(&mut socket, &mut input)?;
                if filled.read == 0 {
                    return Ok(());
                }
                if filled.frame { inbound.take_frame() } else { input[..filled.input].to_vec() }
            }
        };
        let rules = Rules { message_max: MESSAGE_MAX, text: true };
        let (mut at, mut ended) = (0, false);
        while !ended {
            let incoming = inbound.next(&rules, &mut part, &mut at, &mut replies);
            outbox.push_raw(&std::mem::take(&mut replies));
            let kind = |text| if text { opcode::TEXT } else { opcode::BINARY };
            match incoming {
                Incoming::Nothing => break,
                Incoming::Message { payload, text } => outbox.push_data(kind(text), &part[payload]),
                Incoming::Gathered { payload, text } => outbox.push_data(kind(text), &payload),
                Incoming::Closed => ended = true,
                Incoming::Invalid(fault) => {
                    outbox.push_close(close_code(fault), "");
                    ended = true;
                }
            }
            while !outbox.is_empty() {
                outbox.write_to(&mut socket)?;
            }
        }
        if ended {
            return finish(&mut socket);
        }
        if at < part.len() {
            inbound.carry(&part[at..]);
        }
    }
}

/// The handshake; what came behind it.
fn shake_hands(socket: &mut TcpStream, input: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
    let mut handshake = Handshake::default();
    handshake.any_subprotocol = true;
    loop {
        let read = io::Read::read(socket, input)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &input[..read];
        match handshake.feed(&mut rest, &ClientAddresses::default(), &Access::default()) {
            Progress::Waiting | Progress::Introduced(_) => {}
            Progress::Upgraded { answer, .. } => {
                socket.write_all(&answer)?;
                return Ok(Some(rest.to_vec()));
            }
            Progress::Refused(_, answer) => {
                socket.write_all(&answer)?;
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// RFC 6455, section 7.1.1: the server closes first, and waits until the client has.
fn finish(socket: &mut TcpStream) -> io::Result<()> {
    socket.shutdown(std::net::Shutdown::Write)?;
    io::copy(socket, &mut io::sink()).map(drop)
}

/// RFC 6455, section 7.4.1.
const fn close_code(fault: Fault) -> u16 {
    match fault {
        Fault::Protocol => 1002,
        Fault::Text => 1003,
        Fault::Utf8 => 1007,
        Fault::TooLarge => 1009,
    }
}
