//! What an attack took does not stay taken.
//!
//! The allocator of most Linux systems, glibc's, keeps what was freed between pieces that are still held. So when much less is held than
//! a while ago, it is asked to give the rest back. Other allocators need not be asked.

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
        let mut high = 0;
        loop {
            thread::park_timeout(EVERY);
            let Some(used) = handle.stats_within(PATIENCE).map(|stats| stats.memory_used) else { continue };
            high = used.max(high);
            if high - used >= WORTH {
                trim();
                high = used;
            }
        }
    };
    thread::Builder::new().name("memory".to_owned()).spawn(watch).map(drop)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() {
    // SAFETY: it takes no pointer, touches only what nobody holds, and may be called from any thread at any time (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
