//! What each source may still ask, and how much it may still be told.
//!
//! A source is counted as its [group](SourceGroup) and, with ten times as much, as its site: both must have what it takes. Whoever
//! finds no place in the table has no budget of exact answers, and is bounded by the limits of its connection and of its targets.

use super::RelayLimits;
use super::bucket::{Bucket, Rate};
use super::ledger::{self, Ledger};
use super::source::{SITE_FACTOR, SourceGroup};
use crate::id::PeerId;
use crate::time::Instant;

pub(super) struct Budgets {
    sources: Ledger<SourceGroup, Account>,
    pairs: Ledger<(SourceGroup, PeerId), Pair>,
    /// Exact answers for all sources together.
    exact: Bucket,
}

/// A source, or a site.
#[derive(Default)]
struct Account {
    /// CONNECTs.
    connects: Bucket,
    /// Answers that say that nobody has an ID.
    exact: Bucket,
    /// Requests that wait.
    pending: usize,
}

impl ledger::Account for Account {
    fn whole_at(&self) -> Option<Instant> {
        (self.pending == 0).then(|| self.connects.whole_at().max(self.exact.whole_at()))
    }
}

/// A source and the ID it asks for, whether somebody has that ID or not.
#[derive(Default)]
struct Pair {
    asked: Bucket,
    pending: bool,
}

impl ledger::Account for Pair {
    fn whole_at(&self) -> Option<Instant> {
        (!self.pending).then(|| self.asked.whole_at())
    }
}

/// How a CONNECT is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// Its source has asked too much.
    Throttled,
    /// It may be told the truth at once.
    Exact,
    /// It is told the same whatever the truth is.
    Uniform,
}

/// What a request that waits takes of its source's budgets, until it is over.
#[derive(Clone, Copy)]
pub(super) struct Hold {
    source: SourceGroup,
    /// Whether it counts at the source: not if that has no place.
    counted: bool,
    /// Whether it is the one that waits between the source and its target.
    pair: bool,
}

impl Budgets {
    pub(super) const fn new() -> Self {
        Self { sources: Ledger::new(), pairs: Ledger::new(), exact: Bucket::new() }
    }

    /// Takes a CONNECT into account.
    pub(super) fn admit(&mut self, now: Instant, source: SourceGroup, limits: &RelayLimits) -> Admission {
        let groups = shares(source).map(|(group, _)| group);
        if !self.sources.enter(now, groups, limits.sources_max) {
            return Admission::Uniform;
        }
        let accounts = || shares(source).filter_map(|(group, n)| Some((self.sources.get(group)?, n)));
        let may_ask = accounts().all(|(account, n)| {
            account.connects.has(now, limits.connect_source_rate.times(n))
                && account.pending < limits.requests_source_max.saturating_mul(n as usize)
        });
        if !may_ask {
            return Admission::Throttled;
        }
        let exact = self.exact.has(now, limits.exact_total_rate)
            && accounts().all(|(account, n)| account.exact.has(now, limits.exact_rate.times(n)));
        for (group, n) in shares(source) {
            self.sources
                .change(group, |account| account.connects.take(now, limits.connect_source_rate.times(n)));
        }
        if exact { Admission::Exact } else { Admission::Uniform }
    }

    /// Takes an exact answer into account.
    pub(super) fn told(&mut self, now: Instant, source: SourceGroup, limits: &RelayLimits) {
        self.exact.take(now, limits.exact_total_rate);
        for (group, n) in shares(source) {
            self.sources.change(group, |account| account.exact.take(now, limits.exact_rate.times(n)));
        }
    }

    /// Takes into account that `source` asks for `target`; whether it may.
    pub(super) fn may_call(
        &mut self,
        now: Instant,
        source: SourceGroup,
        target: PeerId,
        limits: &RelayLimits,
    ) -> bool {
        let key = (source, target);
        self.pairs.enter_in_place_of_another(now, key, limits.pairs_max)
            && self
                .pairs
                .change(key, |pair| {
                    let may = !pair.pending && pair.asked.has(now, limits.pair_rate);
                    if may {
                        pair.asked.take(now, limits.pair_rate);
                    }
                    may
                })
                .unwrap_or(false)
    }

    /// A request of `source` begins to wait; `pair` is what [`may_call`](Self::may_call) said.
    pub(super) fn hold(&mut self, source: SourceGroup, target: PeerId, pair: bool) -> Hold {
        let counted = shares(source).all(|(group, _)| self.sources.get(group).is_some());
        if counted {
            for (group, _) in shares(source) {
                self.sources.change(group, |account| account.pending += 1);
            }
        }
        if pair {
            self.pairs.change((source, target), |pair| pair.pending = true);
        }
        Hold { source, counted, pair }
    }

    /// It waits no more.
    pub(super) fn release(&mut self, hold: Hold, target: PeerId) {
        let Hold { source, counted, pair } = hold;
        if counted {
            for (group, _) in shares(source) {
                self.sources.change(group, |account| account.pending -= 1);
            }
        }
        if pair {
            self.pairs.change((source, target), |pair| pair.pending = false);
        }
    }

    /// The target agreed, so that this request has bothered nobody.
    pub(super) fn welcome(&mut self, hold: Hold, target: PeerId, rate: Rate) {
        if hold.pair {
            self.pairs.change((hold.source, target), |pair| pair.asked.give_back(rate));
        }
    }

    /// What the requests that wait take is what is taken.
    #[cfg(test)]
    pub(super) fn check(&self, holds: impl Iterator<Item = (Hold, PeerId)>) {
        let (mut pending, mut pairs) = (alloc::collections::BTreeMap::<_, usize>::new(), 0);
        for (hold, target) in holds {
            for (group, _) in shares(hold.source).filter(|_| hold.counted) {
                *pending.entry(group).or_default() += 1;
            }
            if hold.pair {
                assert!(self.pairs.get((hold.source, target)).is_some_and(|pair| pair.pending));
                pairs += 1;
            }
        }
        for (group, pending) in &pending {
            assert_eq!(self.sources.get(*group).map(|account| account.pending), Some(*pending));
        }
        let busy = self.sources.check().filter(|account| account.pending > 0).count();
        assert_eq!(busy, pending.len());
        assert_eq!(self.pairs.check().filter(|pair| pair.pending).count(), pairs);
    }

    /// Forgets some of what need not be remembered.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.sources.release(now);
        self.pairs.release(now);
    }

    /// Sources and sites that are remembered.
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Pairs of a source and an ID that are remembered.
    pub(super) fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// The memory it takes, an upper estimate.
    pub(super) fn memory(&self) -> usize {
        self.sources.memory() + self.pairs.memory()
    }
}

/// The accounts of a source, and for how many sources each of them stands.
fn shares(source: SourceGroup) -> impl Iterator<Item = (SourceGroup, u32)> + Clone {
    [Some((source, 1)), source.site().map(|site| (site, SITE_FACTOR))].into_iter().flatten()
}
