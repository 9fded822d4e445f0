//! Every connection is an open file, and the system allows only so many.

/// Open files other than connections: listeners, logs, the loop's own.
const OTHERS: u64 = 64;

/// Raises the limit of open files as far as it goes; gives the number of connections that there is room for, of those wanted. If that
/// is fewer, the log says so.
pub(crate) fn make(wanted: usize) -> usize {
    let limit = match phantom_mio::raise_file_limit() {
        Ok(limit) => limit,
        Err(error) => {
            log::warn!(
                "the limit of open files is unknown, so there may be room for few connections: {error}"
            );
            return wanted;
        }
    };
    let room = room(limit);
    if room >= wanted {
        return wanted;
    }
    log::warn!(
        "there is room for {room} connections, not {wanted} (max_connections): this process may open only {limit} files; \
         raise `ulimit -n`, or LimitNOFILE= of the systemd unit, to {}",
        OTHERS + wanted as u64
    );
    room
}

/// Where hardly any file is allowed, half of them are connections.
fn room(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(OTHERS).max(limit / 2)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_the_other_files_leave() {
        assert_eq!([0, 40, 1024, 70_000].map(room), [1, 20, 960, 69_936]);
        assert!(room(u64::MAX) > 1 << 40);
    }
}
