//! The only place of this crate where entropy is drawn, and only at the start.

use getrandom::SysRng;
use getrandom::rand_core::TryRng;

/// `N` bytes from the operating system.
pub(crate) fn draw<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}
