//! A relay inside this program, for two who have none.
//!
//! It listens on every address of this machine: whoever can reach one of them can use the relay as long as the program runs, and can
//! read nothing of what others say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use phantom_mio::{RelayServer, RunningRelay};
use tokio::time::sleep;

use crate::address::{Address, PORT};
use crate::fault::Fault;
use crate::message::Message;

/// How often it is looked whether everybody has left.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long a relay on this machine may take to accept a connection.
const FIND_MAX: Duration = Duration::from_millis(200);

/// A relay that ends with this.
pub(crate) struct Embedded(RunningRelay);

impl Embedded {
    /// Starts it, on the usual port if that is free.
    ///
    /// # Errors
    /// The system does not let it listen.
    pub(crate) fn start() -> Result<Self, Fault> {
        let any = Ipv4Addr::UNSPECIFIED;
        let relay = RelayServer::bind((any, PORT)).or_else(|_in_use| RelayServer::bind((any, 0)));
        let relay = relay.map_err(|error| Fault::relay(error.to_string()))?;
        let relay = relay.spawn().map_err(|error| Fault::relay(Message::NoThreads { error: &error }))?;
        Ok(Self(relay))
    }

    /// Where this program reaches it.
    pub(crate) fn here(&self) -> Address {
        Address::of(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port())
    }

    /// Where others may reach it, the best guess first; at least one.
    pub(crate) fn there(&self) -> Vec<Address> {
        let mut all: Vec<IpAddr> = outward().into_iter().collect();
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        for ip in interfaces.iter().map(if_addrs::Interface::ip) {
            if ip.is_ipv4() && !ip.is_loopback() && !all.contains(&ip) {
                all.push(ip);
            }
        }
        if all.is_empty() {
            all.push(Ipv4Addr::LOCALHOST.into());
        }
        all.into_iter().map(|ip| Address::of(ip, self.port())).collect()
    }

    /// Waits until nobody is connected, so that the last words arrive.
    pub(crate) async fn everybody_left(&self) {
        while self.0.handle().stats().open > 0 {
            sleep(LOOK_PAUSE).await;
        }
    }

    fn port(&self) -> u16 {
        self.0.local_addr().port()
    }
}

/// Whether somebody listens on the usual port of this machine: a relay that was started before.
pub(crate) fn find() -> Option<Address> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    TcpStream::connect_timeout(&SocketAddr::new(here, PORT), FIND_MAX).ok()?;
    Some(Address::of(here, PORT))
}

/// The address of this machine that packets to the rest of the world come from. Nothing is sent to find out.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation: it is nobody's.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}
