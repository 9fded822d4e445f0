//! Every connection is an open file, and the system allows only so many.

/// Open files other than connections: listeners, logs, the loop's own, and connections that are being closed.
const OTHERS: usize = 128;

/// Connections, and handshakes that have not become connections yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    pub(crate) connections: usize,
    pub(crate) handshakes: usize,
}

impl Room {
    /// Raises the limit of open files as far as it goes; gives the part of this that there is room for. If that is not all, the log
    /// says so.
    pub(crate) fn make(self) -> Self {
        let limit = match phantom_mio::raise_file_limit() {
            Ok(limit) => limit,
            Err(error) => {
                log::warn!(
                    "the limit of open files is unknown, so there may be room for few connections: {error}"
                );
                return self;
            }
        };
        let room = self.within(usize::try_from(limit).unwrap_or(usize::MAX));
        if room != self {
            log::warn!(
                "there is room for {} connections and {} handshakes, not {} (max_connections) and {} (max_handshakes): this process may \
                 open only {limit} files; raise `ulimit -n`, or LimitNOFILE= of the systemd unit, to {}",
                room.connections,
                room.handshakes,
                self.connections,
                self.handshakes,
                self.connections.saturating_add(self.handshakes).saturating_add(OTHERS)
            );
        }
        room
    }

    /// Where hardly any file is allowed, half of them are for this. Handshakes take a quarter at most.
    fn within(self, limit: usize) -> Self {
        let room = limit.saturating_sub(OTHERS).max(limit / 2);
        if self.connections.saturating_add(self.handshakes) <= room {
            return self;
        }
        let handshakes = self.handshakes.min(room / 4).max(1);
        Self { connections: self.connections.min(room.saturating_sub(handshakes)).max(1), handshakes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_the_other_files_leave() {
        let wanted = Room { connections: 65_536, handshakes: 4096 };
        let room = |limit| {
            let room = wanted.within(limit);
            (room.connections, room.handshakes)
        };
        assert_eq!([0, 40, 1024].map(room), [(1, 1), (15, 5), (672, 224)]);
        assert_eq!(room(65_536), (61_312, 4096));
        assert_eq!(room(65_536 + 4096 + 127), (65_535, 4096));
        assert_eq!(wanted.within(65_536 + 4096 + 128), wanted);
        assert_eq!(wanted.within(usize::MAX), wanted);
    }
}
