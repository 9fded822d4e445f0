//! What an attack took does not stay taken.
//!
//! The allocator of most Linux systems, glibc's, keeps what was freed between pieces that are still held. So it is asked to give the rest
//! back when much less is held than a while ago, and when a rush of connections is over, whose small pieces no count shows. Other
//! allocators need not be asked.

use std::io;
use std::thread;
use std::time::Duration;

use phantom_mio::Handle;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How long the relay's loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Less than this is not worth it: a call takes milliseconds, and not the loop's.
const WORTH: usize = 128 * 1024;

/// Looks after it from a thread of its own, until the process ends.
pub(crate) fn give_back(handle: Handle) -> io::Result<()> {
    let watch = move || {
        let mut tide = Tide::default();
        loop {
            thread::park_timeout(EVERY);
            let Some(stats) = handle.stats_within(PATIENCE) else { continue };
            let ended = stats.accepted - stats.sockets as u64;
            if tide.is_out(stats.memory_used, ended) {
                handle.gather_memory();
                // Answered only when that is done.
                let _counters = handle.stats_within(PATIENCE);
                trim();
            }
        }
    };
    thread::Builder::new().name("memory".to_owned()).spawn(watch).map(drop)
}

/// What has been seen since the allocator was asked.
#[derive(Default)]
struct Tide {
    /// The most memory held.
    high: usize,
    /// Connections that had ended when it was asked, and when it was looked last.
    ended_then: u64,
    ended_last: u64,
}

impl Tide {
    /// Whether it is time to ask, with so much memory held and so many connections ended.
    fn is_out(&mut self, used: usize, ended: u64) -> bool {
        let calm = ended == self.ended_last && ended != self.ended_then;
        self.ended_last = ended;
        self.high = self.high.max(used);
        let is_out = calm || self.high - used >= WORTH;
        if is_out {
            (self.high, self.ended_then) = (used, ended);
        }
        is_out
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() {
    // SAFETY: it takes no pointer, touches only what nobody holds, and may be called from any thread at any time (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_when_much_less_is_held() {
        let mut tide = Tide::default();
        assert!(!tide.is_out(2 * WORTH, 0));
        assert!(!tide.is_out(WORTH + 1, 0));
        assert!(tide.is_out(WORTH, 0));
        assert!(!tide.is_out(WORTH, 0));
    }

    #[test]
    fn it_is_asked_once_when_a_rush_is_over() {
        let mut tide = Tide::default();
        assert!(!tide.is_out(0, 0));
        assert!(!tide.is_out(0, 10) && !tide.is_out(0, 20), "it goes on");
        assert!(tide.is_out(0, 20));
        assert!(!tide.is_out(0, 20));
    }
}
