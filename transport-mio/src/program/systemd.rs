//! What systemd is told, and what it hands over. Without systemd, nothing here does anything.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use phantom_mio::Handle;
use sd_notify::NotifyState;

/// How often systemd is told how many clients there are.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// The relay serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The relay reads its files again; [`ready`] when it has.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("the time is unknown, so systemd is not told of the reload: {error}"),
    }
}

/// The relay stops.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("telling clients to come back later")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd cannot be told how the relay does: {error}");
    }
}

/// Keeps systemd's watchdog quiet for as long as the relay's loop answers, and says how many clients there are. A loop that hangs does
/// not answer; then nothing is said, whatever threads are well.
pub(crate) fn watch(handle: Handle) -> io::Result<()> {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(());
    }
    let pause =
        sd_notify::watchdog_enabled().map_or(STATUS_EVERY, |patience| (patience / 2).min(STATUS_EVERY));
    let watch = move || {
        loop {
            // Answered by the loop itself, and not before it has come round.
            let sockets = handle.stats().sockets;
            let status = format!("serving; {sockets} connections");
            if !handle.is_stopping() {
                tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            }
            thread::sleep(pause);
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

/// A socket that listens already.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The sockets that systemd hands over, each with its name: `FileDescriptorName=` of the socket unit. Called once, before any thread is
/// started.
pub(crate) fn inherited() -> io::Result<Vec<(String, Socket)>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut inherited = ListenFd::from_env();
    let mut sockets = Vec::new();
    for at in 0..inherited.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let socket = match inherited.take_tcp_listener(at) {
            Ok(socket) => socket.map(Socket::Tcp),
            Err(_) => inherited.take_unix_listener(at)?.map(Socket::Unix),
        };
        sockets.extend(socket.map(|socket| (name, socket)));
    }
    Ok(sockets)
}
