//! The one memory budget: what is held in all, and what is still allowed.
//!
//! | used of the budget | what happens |
//! | --- | --- |
//! | little | a receiver may have as much waiting as `outbox_bytes_max` says |
//! | more | a receiver may have an eighth of what is free; the connections of one address, half of what is free |
//! | 15 of 16 parts | new connections are refused as [`RelayFull`](phantom_core::wire::CloseCode::RelayFull) |
//! | 63 of 64 parts | the largest connections of the address for which most is held are closed as [`Throttled`](phantom_core::wire::CloseCode::Throttled), until it is less |
//!
//! A receiver that may have no more waiting holds up its senders, as any full one does. So the greediest suffer first, and who has
//! little waiting notices nothing. What is counted is the memory that the relay's own tables and buffers hold, by their capacity, and
//! [`BASE`] for the program itself.

use phantom_core::relay::RelayLimits;

/// What the program itself takes: its code and the buffers that all connections share.
pub(crate) const BASE: usize = 8 * 1024 * 1024;
/// The smallest budget with which anything works.
pub(crate) const BUDGET_MIN: usize = 2 * BASE;

/// What the machine's tables of what was may take of the budget, and what one entry takes at most: an eighth for pairs of a source and an
/// ID, half as much for sources, half of that for IDs given up.
const PAIRS_SHARE: usize = 8;
const SOURCES_SHARE: usize = 16;
const RETIRED_SHARE: usize = 32;
const ENTRY: usize = 256;

/// One receiver's share of what is free.
const OUTBOX_SHARE: usize = 8;
/// One address's share of what is free.
const ADDRESS_SHARE: usize = 2;
const REFUSE_AT: usize = 16;
const SHED_AT: usize = 64;

/// How much memory may be held, and how much is.
pub(crate) struct Budget {
    limit: usize,
    /// Held for connections.
    connections: usize,
    /// Held by the relay machine.
    machine: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(BUDGET_MIN), connections: 0, machine: 0 }
    }

    /// What is held for a connection has changed.
    pub(crate) const fn charge(&mut self, before: usize, after: usize) {
        self.connections = self.connections + after - before;
    }

    /// What the relay machine holds now.
    pub(crate) const fn set_machine(&mut self, bytes: usize) {
        self.machine = bytes;
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) const fn used(&self) -> usize {
        BASE + self.connections + self.machine
    }

    const fn free(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// Bytes that may wait for one receiver, when so much is held for its address.
    pub(crate) const fn outbox_max(&self, held_for_address: usize) -> usize {
        let free = self.free();
        if held_for_address > free / ADDRESS_SHARE { 0 } else { free / OUTBOX_SHARE }
    }

    /// No new connection finds room.
    pub(crate) const fn refuses(&self) -> bool {
        self.free() < self.limit / REFUSE_AT
    }

    /// Connections must be given up.
    pub(crate) const fn sheds(&self) -> bool {
        self.free() < self.limit / SHED_AT
    }
}

/// These limits, with tables of what was that no one can fill until nothing else finds room.
pub(crate) fn fit(mut limits: RelayLimits, memory: usize) -> RelayLimits {
    let memory = memory.max(BUDGET_MIN);
    limits.pairs_max = limits.pairs_max.min(memory / PAIRS_SHARE / ENTRY);
    limits.sources_max = limits.sources_max.min(memory / SOURCES_SHARE / ENTRY);
    limits.retired_max = limits.retired_max.min(memory / RETIRED_SHARE / ENTRY);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_fit_the_budget_and_the_default_budget_cuts_none() {
        let whole = RelayLimits::default();
        let default = fit(whole.clone(), crate::ServerLimits::default().memory);
        let sizes = |l: &RelayLimits| [l.pairs_max, l.sources_max, l.retired_max];
        assert_eq!(sizes(&default), sizes(&whole));
        assert_eq!(sizes(&fit(whole, 64 * MIB)), [32_768, 16_384, 8192]);
    }

    const MIB: usize = 1024 * 1024;

    #[test]
    fn what_is_allowed_shrinks_as_the_budget_is_used() {
        let mut budget = Budget::new(72 * MIB);
        assert_eq!((budget.used(), budget.outbox_max(0)), (8 * MIB, 8 * MIB));
        budget.charge(0, 40 * MIB);
        assert_eq!((budget.outbox_max(12 * MIB), budget.outbox_max(12 * MIB + 1)), (3 * MIB, 0));
        assert!(!budget.refuses() && !budget.sheds());
        budget.set_machine(20 * MIB);
        assert!(budget.refuses() && !budget.sheds());
        budget.charge(40 * MIB, 43 * MIB);
        assert!(budget.refuses() && budget.sheds());
        budget.charge(43 * MIB, 100 * MIB);
        assert_eq!(budget.outbox_max(0), 0);
    }

    #[test]
    fn a_budget_too_small_to_work_with_is_raised() {
        assert_eq!(Budget::new(0).limit(), BUDGET_MIN);
    }
}
