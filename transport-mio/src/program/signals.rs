//! What the relay does when it is sent a signal. Signals are taken from the beginning, so that none ends a relay that is about to start.

use std::io;
use std::thread;

use phantom_mio::Handle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

use super::systemd;

/// The signals of this process, from when this was made.
pub(crate) struct Signals(iterator::Signals);

impl Signals {
    /// From here on signals wait for [`obey`](Self::obey).
    pub(crate) fn take() -> io::Result<Self> {
        iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map(Self)
    }

    /// The first that stops stops the relay, a second one ends the process. The one that reloads reloads.
    pub(crate) fn obey(
        mut self,
        handle: Handle,
        mut reload: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let obey = move || {
            let mut stopping = false;
            for signal in self.0.forever() {
                match signal {
                    SIGHUP if stopping => {}
                    SIGHUP => {
                        systemd::reloading();
                        reload();
                        systemd::ready();
                    }
                    signal if stopping => std::process::exit(128 + signal),
                    _ => {
                        stopping = true;
                        systemd::stopping();
                        handle.stop();
                    }
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(obey).map(drop)
    }
}
