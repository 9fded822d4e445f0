//! TLS under one connection of the relay: any chunking, a full socket, an end.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use phantom_core::relay::Source;
use phantom_core::time::Instant;
use phantom_core::websocket::opcode;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;
use crate::conn::{Conn, Received, Sent};
use crate::handshake::Handshake;

/// A client with rustls in its hands, and the relay's side of the same socket.
struct World {
    client: ClientConnection,
    wire: UnixStream,
    conn: Conn,
    poll: Poll,
    /// What the relay has read.
    got: Vec<u8>,
    ended: bool,
    buf: Vec<u8>,
}

impl World {
    fn new(read_at_once: usize) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["relay".to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (wire, relay) = UnixStream::pair().unwrap();
        relay.set_nonblocking(true).unwrap();
        wire.set_nonblocking(true).unwrap();
        let socket = Socket::Unix(mio::net::UnixStream::from_std(relay));
        let socket = socket.secure(Arc::new(server)).unwrap();
        let poll = Poll::new().unwrap();
        let mut conn = Conn::new(1, socket, Source::Unknown, Handshake::default(), Instant::ZERO);
        conn.socket.register(poll.registry(), Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "relay".try_into().unwrap()).unwrap();
        client.set_buffer_limit(None);
        Self { client, wire, conn, poll, got: Vec::new(), ended: false, buf: vec![0; read_at_once] }
    }

    /// What the client wants to send now.
    fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut records).unwrap();
        }
        records
    }

    /// These bytes arrive, and the relay does what the poll says, as its loop would.
    fn arrive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let sent = (&self.wire).write(bytes).unwrap();
            bytes = &bytes[sent..];
            self.turn();
        }
    }

    /// One round of the loop, and turns until none is wanted.
    fn turn(&mut self) {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().for_each(|event| self.conn.note(event));
        while self.conn.wants_turn() && !self.ended {
            match self.conn.receive(&mut self.buf) {
                Received::Bytes(filled) => self.got.extend(&self.buf[..filled.read]),
                Received::Nothing => {}
                Received::End => self.ended = true,
            }
        }
        if self.conn.wants_to_send() {
            let _sent = self.conn.send(Instant::ZERO);
        }
    }

    /// The client reads everything that has come.
    fn hear(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            match self.client.read_tls(&mut &self.wire) {
                Ok(0) => return heard,
                Ok(_) => {
                    self.client.process_new_packets().unwrap();
                    let _all = self.client.reader().read_to_end(&mut heard);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return heard,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn shake_hands(&mut self, portion: usize) {
        while self.client.is_handshaking() || self.client.wants_write() {
            for bytes in self.records().chunks(portion) {
                self.arrive(bytes);
            }
            self.hear();
        }
    }
}

/// One long message and many short ones, each in a record of its own.
fn speak(client: &mut ClientConnection) -> Vec<u8> {
    let mut all = Vec::new();
    for len in [65_536].into_iter().chain(1..60).chain([16_384, 16_385, 1]) {
        let message: Vec<u8> = (0..len).map(|n: usize| (n % 251) as u8).collect();
        client.writer().write_all(&message).unwrap();
        all.extend(message);
    }
    all
}

#[test]
fn every_chunking_gives_every_byte_as_soon_as_it_is_there() {
    for read_at_once in [100, 4096, 65_536] {
        for portion in [1, 2, 5, 1000, 4096, 16_401, 16_406, 40_000, 1 << 20] {
            let mut world = World::new(read_at_once);
            world.shake_hands(portion);
            let said = speak(&mut world.client);
            for bytes in world.records().chunks(portion) {
                world.arrive(bytes);
            }
            assert!(
                world.got == said,
                "{} of {} in {portion} by {read_at_once}",
                world.got.len(),
                said.len()
            );
        }
    }
}

#[test]
fn every_cut_of_two_records_gives_the_first_at_once() {
    for cut in 0.. {
        let mut world = World::new(4096);
        world.shake_hands(1 << 20);
        world.client.writer().write_all(b"first").unwrap();
        let mut records = world.records();
        let first = records.len();
        world.client.writer().write_all(b"second").unwrap();
        records.extend(world.records());
        if cut > records.len() {
            break;
        }
        world.arrive(&records[..cut]);
        let expected: &[u8] = match cut {
            all if all == records.len() => b"firstsecond",
            some if some >= first => b"first",
            _ => b"",
        };
        assert_eq!(world.got, expected, "cut at {cut} of {}", records.len());
        world.arrive(&records[cut..]);
        assert_eq!(world.got, b"firstsecond");
    }
}

/// Thousands of records that hold next to nothing would otherwise be one read.
#[test]
fn records_of_one_byte_make_no_read_longer_than_another() {
    const ROOM: usize = 32 * 1024;
    let mut world = World::new(ROOM);
    world.shake_hands(1 << 20);
    for _ in 0..5000 {
        world.client.writer().write_all(b"x").unwrap();
    }
    let records = world.records();
    let (now, later) = records.split_at(3 * ROOM);
    let mut sent = 0;
    while sent < now.len() {
        sent += (&world.wire).write(&now[sent..]).unwrap();
    }
    let Received::Bytes(first) = world.conn.receive(&mut world.buf) else { panic!("nothing came") };
    assert!(first.read <= ROOM / 22 && world.conn.wants_turn(), "{}", first.read);
    world.got.extend(&world.buf[..first.read]);
    world.turn();
    world.arrive(later);
    assert_eq!(world.got, [b'x'; 5000]);
}

#[test]
fn a_full_socket_takes_one_buffer_more_and_what_is_left_in_it_leaves_later() {
    let mut world = World::new(4096);
    world.shake_hands(1 << 20);
    let mut pushed = 0;
    while world.conn.send(Instant::ZERO) == Sent::All {
        world.conn.outbox.push_data(opcode::BINARY, &[7; 1000]);
        pushed += 1004;
    }
    assert!(world.conn.outbox.is_empty(), "the last of it is with rustls");
    // From here on nothing is taken any more beyond one buffer.
    for _ in 0..100 {
        world.conn.outbox.push_data(opcode::BINARY, &[7; 1000]);
        pushed += 1004;
    }
    assert!(world.conn.send(Instant::ZERO) == Sent::Waiting);
    assert!(world.conn.outbox.data_bytes() >= 100 * 1004 - BUFFER, "{}", world.conn.outbox.data_bytes());
    let mut heard = 0;
    while heard < pushed {
        let now = world.hear().len();
        assert!(now > 0 || world.conn.wants_to_send(), "{heard} of {pushed}");
        heard += now;
        world.turn();
    }
    assert_eq!(heard, pushed);
    assert!(!world.conn.wants_to_send());
}

#[test]
fn new_keys_are_answered_although_nothing_else_is_to_be_said() {
    let mut world = World::new(4096);
    world.shake_hands(1 << 20);
    while world.conn.send(Instant::ZERO) == Sent::All {
        world.conn.outbox.push_data(opcode::BINARY, &[7; 1000]);
    }
    // The relay cannot answer this now.
    world.client.refresh_traffic_keys().unwrap();
    world.client.writer().write_all(b"with new keys").unwrap();
    let records = world.records();
    world.arrive(&records);
    assert_eq!(world.got, b"with new keys");
    while world.conn.wants_to_send() {
        world.hear();
        world.turn();
    }
    world.conn.outbox.push_data(opcode::BINARY, b"also");
    assert!(world.conn.send(Instant::ZERO) == Sent::All);
    assert!(world.hear().ends_with(b"also"));
}

#[test]
fn both_kinds_of_end_come_after_what_was_said() {
    for clean in [true, false] {
        let mut world = World::new(4096);
        world.shake_hands(1 << 20);
        world.client.writer().write_all(b"last words").unwrap();
        if clean {
            world.client.send_close_notify();
        }
        let records = world.records();
        (&world.wire).write_all(&records).unwrap();
        if !clean {
            world.wire.shutdown(Shutdown::Write).unwrap();
        }
        world.turn();
        assert_eq!((&world.got[..], world.ended), (&b"last words"[..], true), "clean: {clean}");
    }
}

#[test]
fn an_end_in_the_middle_of_the_handshake_is_not_overlooked() {
    let mut world = World::new(4096);
    let records = world.records();
    (&world.wire).write_all(&records[..50]).unwrap();
    world.wire.shutdown(Shutdown::Write).unwrap();
    world.turn();
    assert!(world.ended);
}

#[test]
fn closing_says_so_after_everything_else() {
    let mut world = World::new(4096);
    world.shake_hands(1 << 20);
    while world.conn.send(Instant::ZERO) == Sent::All {
        world.conn.outbox.push_data(opcode::BINARY, &[7; 1000]);
    }
    world.conn.socket.shutdown(Shutdown::Write).unwrap_err();
    while world.conn.wants_to_send() {
        world.hear();
        world.turn();
    }
    world.hear();
    assert!(matches!(world.client.reader().read(&mut [0]), Ok(0)), "no close_notify");
    assert_eq!((&world.wire).read(&mut [0]).unwrap(), 0, "the carrier is not shut");
}

#[test]
fn what_is_held_for_a_record_in_pieces_is_counted_and_given_back() {
    let mut world = World::new(65_536);
    world.shake_hands(1 << 20);
    let idle = world.conn.socket.memory();
    world.client.writer().write_all(&[7; 16_384]).unwrap();
    let records = world.records();
    for bytes in records[..12_000].chunks(3000) {
        world.arrive(bytes);
    }
    assert_eq!(world.conn.socket.memory(), idle + GROWN);
    world.arrive(&records[12_000..]);
    assert_eq!((world.got.len(), world.conn.socket.memory()), (16_384, idle));
}

#[test]
fn records_are_counted_in_any_pieces() {
    let bytes = b"\x16\x03\x01\0\x03abc\x17\x03\x03\0\0\x17\x03\x03\x01\0";
    for portion in 1..bytes.len() {
        let mut records = Records::default();
        let mut at = 0;
        for piece in bytes.chunks(portion) {
            records.advance(piece);
            at += piece.len();
            assert_eq!(records.is_within(), at != 8 && at != 13, "{at} in {portion}");
        }
        records.advance(&[0; 255]);
        assert!(records.is_within());
        records.advance(&[0]);
        assert!(!records.is_within());
    }
}

#[test]
fn what_came_before_tls_is_read_raw_and_what_came_with_it_is_not_kept() {
    let mut world = World::new(65_536);
    world.conn.socket.hold_back();
    let idle = world.conn.socket.memory();
    world.arrive(b"PROXY UNKNOWN");
    assert_eq!(world.got, b"PROXY UNKNOWN");
    let hello = world.records();
    assert!(world.conn.begin_tls(&hello[..100]) && world.conn.wants_turn());
    world.turn();
    world.arrive(&hello[100..]);
    world.hear();
    world.shake_hands(1 << 20);
    world.client.writer().write_all(b"at last").unwrap();
    let records = world.records();
    world.arrive(&records);
    assert!(world.got.ends_with(b"UNKNOWNat last"));
    assert_eq!(world.conn.socket.memory(), idle);
}
