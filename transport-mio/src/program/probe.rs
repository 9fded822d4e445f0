//! Asking a running relay whether it is well: for containers, which have nothing else in them to ask with.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::fault::{Fault, Status};
use super::settings::Effective;

/// How long the relay may take for each step.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than the first line of the answer.
const ANSWER_MAX: u64 = 64;

/// Fails if the relay does not say that it is well.
pub(crate) fn run(effective: &Effective) -> Result<(), Fault> {
    let Some(address) = effective.settings.metrics_listen.map(reachable) else {
        return Err(Fault::new(Status::Settings, "probe needs metrics_listen, which is not set"));
    };
    match ask(address) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::new(Status::System, format!("the relay at {address} is not well"))),
        Err(error) => {
            Err(Fault::new(Status::System, format!("the relay at {address} does not answer: {error}")))
        }
    }
}

/// Who listens everywhere listens on this machine too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    socket.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
