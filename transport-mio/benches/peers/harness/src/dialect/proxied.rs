//! Messages behind their lengths on a byte stream, through a proxy that has this program as its backend.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::{Codec, Dialect, End, Pair, Template, number};
use crate::system;

const PATIENCE: Duration = Duration::from_secs(10);

/// A TCP proxy.
pub(crate) struct Proxied {
    port: u16,
    arrivals: Arc<Arrivals>,
}

/// What the proxy has connected back, each by the number that was sent first.
#[derive(Default)]
struct Arrivals {
    streams: Mutex<HashMap<u64, TcpStream>>,
    arrived: Condvar,
}

impl Proxied {
    /// Clients come to `port`; the proxy connects to `backend`, which is the same every time.
    pub(crate) fn new(port: u16, backend: u16) -> io::Result<Self> {
        static LISTENING: OnceLock<Arc<Arrivals>> = OnceLock::new();
        if let Some(arrivals) = LISTENING.get() {
            return Ok(Self { port, arrivals: arrivals.clone() });
        }
        let listener = TcpListener::bind(system::local(backend))?;
        SockRef::from(&listener).listen(4096)?;
        let arrivals = LISTENING.get_or_init(Arc::default).clone();
        let theirs = arrivals.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| theirs.take_in(stream)));
        Ok(Self { port, arrivals })
    }
}

impl Arrivals {
    fn take_in(&self, mut stream: TcpStream) {
        let mut number = [0; 8];
        // A probe that sends nothing must not hold up the others.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        if stream.set_nodelay(true).and_then(|()| stream.read_exact(&mut number)).is_ok() {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            self.streams.lock().expect("nobody panics with it").insert(u64::from_le_bytes(number), stream);
            self.arrived.notify_all();
        }
    }

    fn wait_for(&self, number: u64) -> io::Result<TcpStream> {
        let streams = self.streams.lock().expect("nobody panics with it");
        let missing = |streams: &mut HashMap<_, _>| !streams.contains_key(&number);
        let (mut streams, _) =
            self.arrived.wait_timeout_while(streams, PATIENCE, missing).expect("nobody panics with it");
        streams.remove(&number).ok_or(io::ErrorKind::TimedOut.into())
    }
}

impl Dialect for Proxied {
    fn pair(&self, number: u64) -> io::Result<Pair> {
        let mut stream = system::connect(self.port, number)?;
        stream.write_all(&number.to_le_bytes())?;
        let end = |stream| End { stream, codec: Box::new(Lengths::default()) };
        Ok(Pair { far: end(self.arrivals.wait_for(number)?), near: end(stream) })
    }
}

/// A length of four bytes, then so many.
#[derive(Default)]
struct Lengths {
    /// The length and the number, as far as they have come.
    kept: Vec<u8>,
    /// What has yet to come of the payload behind its number.
    left: usize,
}

const KEPT: usize = 4 + 8;

impl Codec for Lengths {
    fn template(&self, payload: &[u8]) -> Template {
        let bytes = [&(payload.len() as u32).to_le_bytes(), payload].concat();
        Template { bytes, number_at: 4, mask: [0; 8] }
    }

    fn feed(&mut self, mut bytes: &[u8], got: &mut dyn FnMut(u64)) -> io::Result<()> {
        loop {
            if self.kept.len() < KEPT {
                let now = bytes.len().min(KEPT - self.kept.len());
                self.kept.extend_from_slice(&bytes[..now]);
                bytes = &bytes[now..];
                let Some(&length) = self.kept.first_chunk() else { return Ok(()) };
                if self.kept.len() < KEPT {
                    return Ok(());
                }
                self.left = u32::from_le_bytes(length) as usize - 8;
            }
            let now = self.left.min(bytes.len());
            self.left -= now;
            bytes = &bytes[now..];
            if self.left > 0 {
                return Ok(());
            }
            got(number(&self.kept[4..]));
            self.kept.clear();
        }
    }
}
