//! `phantom forward` between two processes: real TCP on both outer ends.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use common::Stream::{Err, Out};
use common::{DEADLINE, Phantom, bytes, relay, relay_at, run};

/// Two sides, and where the listening one accepts.
struct Forward {
    host: Phantom,
    guest: Phantom,
    address: SocketAddr,
}

/// The side with the target invites.
fn forward(url: &str, target: SocketAddr) -> Forward {
    let mut host = Phantom::start(["forward", "--to", &target.to_string(), "--relay", url]);
    let invitation = host.invitation();
    let mut guest = Phantom::start(["forward", "--listen", "0", &invitation]);
    host.line(Err, "go to");
    let address = listening(&mut guest);
    Forward { host, guest, address }
}

fn listening(side: &mut Phantom) -> SocketAddr {
    let line = side.line(Out, "Connections to ");
    line.split(' ').nth(2).unwrap().parse().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.set_write_timeout(Some(DEADLINE)).unwrap();
    tcp
}

/// A server that does `work` with each connection, on a thread of its own.
fn server(work: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let work = work.clone();
            thread::spawn(move || work(tcp));
        }
    });
    address
}

fn echo(mut tcp: TcpStream) {
    let mut reader = tcp.try_clone().unwrap();
    let _ = std::io::copy(&mut reader, &mut tcp);
    let _ = tcp.shutdown(Shutdown::Write);
}

fn echoes(address: SocketAddr, text: &[u8]) {
    let mut tcp = connect(address);
    tcp.write_all(text).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    tcp.read_to_end(&mut back).unwrap();
    assert!(back == text, "{} bytes came back of {}", back.len(), text.len());
}

#[test]
fn bytes_go_there_and_back_and_the_end_of_one_direction_leaves_the_other() {
    let (_relay, url) = relay();
    // Answers only after it has seen the end: half a connection must be enough for that.
    let counting = server(|mut tcp| {
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).unwrap();
        write!(tcp, "{} bytes, and only now the answer", all.len()).unwrap();
    });
    let side = forward(&url, counting);
    let mut tcp = connect(side.address);
    tcp.write_all(&bytes(100_000)).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "100000 bytes, and only now the answer");
}

#[test]
fn the_listening_side_can_invite_too() {
    let (_relay, url) = relay();
    let target = server(echo).to_string();
    let mut host = Phantom::start(["forward", "--listen", "0", "--relay", &url]);
    let invitation = host.invitation();
    let _guest = Phantom::start(["forward", "--to", &target, &invitation]);
    echoes(listening(&mut host), b"hello");
}

#[test]
fn two_hundred_at_once_and_a_big_one_beside_them() {
    let (_relay, url) = relay();
    let side = forward(&url, server(echo));
    let address = side.address;
    let big = thread::spawn(move || {
        let sent = bytes(16 << 20);
        let mut tcp = connect(address);
        let mut writer = tcp.try_clone().unwrap();
        let copy = sent.clone();
        let writing = thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        tcp.read_to_end(&mut back).unwrap();
        writing.join().unwrap();
        assert!(back == sent, "{} bytes came back", back.len());
    });
    // All of them are open before the first one says anything.
    let mut all: Vec<_> = (0..200).map(|_| connect(address)).collect();
    for (n, tcp) in all.iter_mut().enumerate() {
        write!(tcp, "I am {n:03}").unwrap();
    }
    for (n, tcp) in all.iter_mut().enumerate() {
        let mut back = [0; 8];
        tcp.read_exact(&mut back).unwrap();
        assert_eq!(back, *format!("I am {n:03}").as_bytes());
    }
    drop(all);
    big.join().unwrap();
}

#[test]
fn a_stuck_connection_stops_no_other() {
    let (_relay, url) = relay();
    // Reads nothing until it is told how many bytes there are to be read: by then the others were served.
    let (told, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let target = server(move |mut tcp| {
        let mut kind = [0];
        tcp.read_exact(&mut kind).unwrap();
        if kind == *b"s" {
            wait.lock().unwrap().recv().unwrap();
        }
        echo(tcp);
    });
    let side = forward(&url, target);
    let mut stuck = connect(side.address);
    stuck.write_all(b"s").unwrap();
    // Fills every buffer on the way; much less than all of it may be taken.
    stuck.set_nonblocking(true).unwrap();
    let much = bytes(1 << 20);
    let mut taken = 0;
    let mut refused = 0;
    while refused < 1000 {
        match stuck.write(&much) {
            Ok(count) => (taken, refused) = (taken + count, 0),
            Result::Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Another one is served meanwhile: what is stuck stays stuck.
                refused += 100;
                let mut other = connect(side.address);
                other.write_all(b"o hello").unwrap();
                let mut back = [0; 6];
                other.read_exact(&mut back).unwrap();
                assert_eq!(&back, b" hello");
            }
            Result::Err(error) => panic!("{error}"),
        }
        assert!(taken < 256 << 20, "somebody keeps {taken} bytes");
    }
    stuck.set_nonblocking(false).unwrap();
    stuck.shutdown(Shutdown::Write).unwrap();
    told.send(()).unwrap();
    let mut back = Vec::new();
    stuck.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), taken);
}

#[test]
fn a_target_that_is_not_there_is_said_on_both_sides_and_ends_that_connection_only() {
    let (_relay, url) = relay();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut side = forward(&url, nobody);
    let mut tcp = connect(side.address);
    let mut back = Vec::new();
    assert!(tcp.read_to_end(&mut back).is_err(), "a connection that failed is no empty one");
    side.host.line(Err, "was not reached");
    side.guest.line(Err, "did not reach its target");
    let listener = TcpListener::bind(nobody).unwrap();
    let _second = connect(side.address);
    listener.accept().unwrap();
}

#[test]
fn a_connection_that_breaks_breaks_at_both_ends() {
    let (_relay, url) = relay();
    let side = forward(
        &url,
        server(|mut tcp| {
            let mut first = [0];
            tcp.read_exact(&mut first).unwrap();
            // Closed with bytes unread: the system says so to the other end.
        }),
    );
    let mut tcp = connect(side.address);
    tcp.write_all(b"xy").unwrap();
    let mut back = Vec::new();
    let result = tcp.read_to_end(&mut back);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_relay_that_restarts_is_not_felt_by_the_connection() {
    let (first, url) = relay();
    let mut side = forward(&url, server(echo));
    let mut tcp = connect(side.address);
    let mut back = [0; 5];
    tcp.write_all(b"first").unwrap();
    tcp.read_exact(&mut back).unwrap();
    drop(first);
    side.guest.line(Err, "Interrupted");
    tcp.write_all(b"later").unwrap();
    let _second = relay_at(url.strip_prefix("ws://").unwrap());
    tcp.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"later");
}

#[test]
fn two_sides_that_do_the_same_are_told() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["forward", "--listen", "0", "--relay", &url]);
    let invitation = host.invitation();
    run(["forward", "--listen", "0", &invitation]).failed(2, "both sides do the same");
    host.end().failed(2, "both sides do the same");
}

#[test]
fn another_command_on_the_other_side_is_told() {
    let (_relay, url) = relay();
    let mut host = Phantom::start(["forward", "--to", "1", "--relay", &url]);
    let invitation = host.invitation();
    let mut guest = Phantom::start(["chat", &invitation]);
    guest.type_line("hello?");
    host.end().failed(4, "phantom forward");
}

#[test]
fn wrong_ways_to_say_it() {
    run(["forward"]).failed(2, "--listen <PORT>|--to <TARGET>");
    run(["forward", "--listen", "1", "--to", "2"]).failed(2, "cannot be used with");
    run(["forward", "--to", "host"]).failed(2, "host:port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(["forward", "--listen", &port]).failed(2, "choose another port");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_both_sides() {
    let (_relay, url) = relay();
    let side = forward(&url, server(echo));
    side.guest.interrupt();
    side.guest.end().failed(130, "stopped");
    side.host.end().failed(4, "stopped");
}
