//! Being told to end: Ctrl-C, and what a closed terminal or a service manager sends instead.

use std::io;

use crate::fault::Fault;

/// Hears of signals that end the program. While it exists, they end nothing by themselves.
pub(crate) struct Interrupt(Signals);

impl Interrupt {
    /// Listens from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system does not tell of signals.
    pub(crate) fn listen() -> io::Result<Self> {
        Signals::listen().map(Self)
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> Fault {
        Fault::signal(self.0.next().await)
    }
}

#[cfg(unix)]
struct Signals([(u8, tokio::signal::unix::Signal); 3]);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind: SignalKind| {
            let number = u8::try_from(kind.as_raw_value()).expect("signals have small numbers");
            signal(kind).map(|signal| (number, signal))
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::terminate())?,
        ]))
    }

    async fn next(&mut self) -> u8 {
        let [(interrupt, interrupts), (hangup, hangups), (terminate, terminates)] = &mut self.0;
        tokio::select! {
            _ = interrupts.recv() => *interrupt,
            _ = hangups.recv() => *hangup,
            _ = terminates.recv() => *terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        /// Ctrl-C, as Unix numbers it.
        const INTERRUPT: u8 = 2;
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}
