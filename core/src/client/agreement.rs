//! The key agreement of one channel: runs, verdicts, guesses (`PROTOCOL.md`, "Key agreement").
//!
//! A run has one share of each side. Only the local user's act opens a run; nothing is tried again by itself.
//!
//! | stage | a key is set | SHARE of this run | SHARE of the next run | CONFIRM of this run | time is over |
//! | --- | --- | --- | --- | --- | --- |
//! | `Idle` (no key, no share) | open run 1: `Shared` | | keep it: `Asked` | | |
//! | `Asked` (the other's share is here) | answer: `Confirmed` | | keep it instead | | |
//! | `Delayed` (the answer is held back) | (the answer will be of this key) | | keep it instead | | answer: `Confirmed` |
//! | `Shared` (our share is out) | another key: open the next: `Shared` | `Confirmed` | drop this, answer | | |
//! | `Confirmed` (our CONFIRM is out) | waits for the verdict | | drop this, answer | verdict: secured, or `Failed` | report silence, once |
//! | `Failed` | open the next: `Shared` | | answer | | |
//! | `Locked` (no guesses left) | answer the share kept, or open the next | | keep it | | |
//!
//! What is not in the table is ignored. A side that has sent CONFIRM never leaves the run by its own act: the other side may be
//! secured already. A SHARE of the next run proves that it is not, so following it is always right.

use alloc::boxed::Box;

use super::limits::{CONFIRM_PATIENCE, GUESSES_PER_CHANNEL, RUN_DELAY_MAX, RUNS_MAX};
use super::message::{Confirm, Share};
use crate::crypto::exchange::{Confirming, Exchange, Inputs, Secured, Verdict};
use crate::crypto::guess::Charge;
use crate::crypto::{EncryptionKey, GuessBudget};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

pub(super) struct Agreement {
    /// What each run begins with; its number is that of the present run, 0 before the first.
    inputs: Inputs,
    stage: Stage,
    /// Runs that ended without being secured.
    failed: u16,
    /// Runs after the first that were answered.
    answered: u8,
    /// Guesses charged to this channel and not given back.
    guesses: u8,
    /// Set while CONFIRM is out and the user has set another key.
    key_waits: bool,
}

enum Stage {
    Idle,
    Asked(Share),
    Delayed { share: Share, until: Instant },
    Shared { exchange: Exchange, key: EncryptionKey },
    Confirmed { confirming: Box<Confirming>, charge: Charge, silent_at: Option<Instant> },
    Failed,
    Locked { share: Option<Share> },
}

/// What an act led to, in the order in which it is to be carried out.
#[derive(Default)]
#[must_use]
pub(super) struct Step {
    pub(super) share: Option<Share>,
    pub(super) confirm: Option<Confirm>,
    pub(super) news: Option<News>,
}

/// What the agreement tells its channel.
pub(super) enum News {
    /// The keys agree.
    Secured { secured: Box<Secured>, confirm: Confirm, key_refused: bool },
    /// The keys differ.
    KeysDiffer { guesses_left: u8 },
    /// The two sides did not see the same messages.
    Altered,
    /// The share is none: nothing honest sends it.
    Invalid,
    /// The other side does not confirm.
    PeerSilent,
    /// No guess is left.
    Locked { failed: u32 },
    /// Too many runs failed.
    TooManyRuns,
}

/// What an agreement works with, and does not own.
pub(super) struct Means<'a> {
    pub(super) key: Option<&'a EncryptionKey>,
    pub(super) budget: &'a mut GuessBudget,
    pub(super) rng: &'a mut Rng,
}

impl Agreement {
    /// The agreement of a channel that has just opened; the run in `inputs` must be 0.
    pub(super) fn new(inputs: Inputs) -> Self {
        Self { inputs, stage: Stage::Idle, failed: 0, answered: 0, guesses: 0, key_waits: false }
    }

    /// The user has set a key, or set it again. `changed` tells whether it is another one than before.
    pub(super) fn key_set(&mut self, now: Instant, changed: bool, means: &mut Means<'_>) -> Step {
        if changed {
            // The channel's count is of guesses at one key. That of a passphrase goes on, whatever is set in between.
            self.guesses = 0;
        }
        match core::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Asked(share) | Stage::Locked { share: Some(share) } => self.answer(now, share, means),
            Stage::Idle | Stage::Failed | Stage::Locked { share: None } => self.open_next(means),
            Stage::Shared { .. } if changed => self.open_next(means),
            stage @ Stage::Confirmed { .. } => {
                self.key_waits |= changed;
                self.stage = stage;
                Step::default()
            }
            stage @ (Stage::Delayed { .. } | Stage::Shared { .. }) => {
                self.stage = stage;
                Step::default()
            }
        }
    }

    pub(super) fn on_share(&mut self, now: Instant, share: Share, means: &mut Means<'_>) -> Step {
        let next = self.inputs.run.checked_add(1);
        match core::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Shared { exchange, key } if share.run == self.inputs.run => {
                self.confirm(now, exchange, &key, &share, means)
            }
            stage if Some(share.run) != next => {
                self.stage = stage;
                Step::default()
            }
            stage => {
                self.inputs.run = share.run;
                let (first, locked) = (share.run == 1, matches!(stage, Stage::Locked { .. }));
                if !first && !matches!(stage, Stage::Idle | Stage::Asked(_) | Stage::Delayed { .. }) {
                    self.failed += 1;
                }
                if self.failed >= RUNS_MAX {
                    return Step { news: Some(News::TooManyRuns), ..Step::default() };
                }
                if locked {
                    self.stage = Stage::Locked { share: Some(share) };
                } else if means.key.is_none() {
                    self.stage = Stage::Asked(share);
                } else if first {
                    return self.answer(now, share, means);
                } else {
                    let delay = Duration::from_secs(1 << self.answered.min(3)).min(RUN_DELAY_MAX);
                    self.answered = self.answered.saturating_add(1);
                    self.stage = Stage::Delayed { share, until: now + delay };
                }
                Step::default()
            }
        }
    }

    pub(super) fn on_confirm(&mut self, confirm: &Confirm, means: &mut Means<'_>) -> Step {
        match core::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Confirmed { confirming, charge, .. } if confirm.run == self.inputs.run => {
                let own = self.confirm_message(&confirming);
                match confirming.judge(&confirm.check, &confirm.tag) {
                    Verdict::Secured(secured) => {
                        means.budget.give_back(charge);
                        self.guesses = self.guesses.saturating_sub(1);
                        let key_refused = core::mem::take(&mut self.key_waits);
                        let news = News::Secured { secured, confirm: own, key_refused };
                        Step { news: Some(news), ..Step::default() }
                    }
                    Verdict::KeysDiffer => {
                        let guesses_left = GUESSES_PER_CHANNEL.saturating_sub(self.guesses);
                        self.fail(News::KeysDiffer { guesses_left }, means)
                    }
                    Verdict::HandshakeAltered => self.fail(News::Altered, means),
                }
            }
            stage => {
                self.stage = stage;
                Step::default()
            }
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant, means: &mut Means<'_>) -> Step {
        match &mut self.stage {
            Stage::Delayed { until, .. } if *until <= now => {
                let Stage::Delayed { share, .. } = core::mem::replace(&mut self.stage, Stage::Idle) else {
                    return Step::default();
                };
                self.answer(now, share, means)
            }
            Stage::Confirmed { silent_at, .. } if silent_at.is_some_and(|at| at <= now) => {
                *silent_at = None;
                Step { news: Some(News::PeerSilent), ..Step::default() }
            }
            _ => Step::default(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Delayed { until, .. } => Some(*until),
            Stage::Confirmed { silent_at, .. } => *silent_at,
            _ => None,
        }
    }

    /// The owner of the key allows as many guesses again. Returns how many had been spent on this channel.
    pub(super) fn unlock(&mut self) -> u8 {
        core::mem::take(&mut self.guesses)
    }

    /// Our CONFIRM, if it is out: it is sent again over each new way, and the channel can be found again by the value with it.
    pub(super) fn confirmed(&self) -> Option<(Confirm, [u8; 16])> {
        match &self.stage {
            Stage::Confirmed { confirming, .. } => {
                Some((self.confirm_message(confirming), confirming.rendezvous()))
            }
            _ => None,
        }
    }

    /// Opens a run by the user's act.
    fn open_next(&mut self, means: &mut Means<'_>) -> Step {
        let Some(run) = self.inputs.run.checked_add(1) else {
            return Step { news: Some(News::TooManyRuns), ..Step::default() };
        };
        let Some(key) = means.key else { return Step::default() };
        if let Some(step) = self.refuse_locked(key, None, means.budget) {
            return step;
        }
        self.inputs.run = run;
        let exchange = Exchange::start(self.inputs, key, means.rng);
        let share = self.share_message(&exchange);
        self.stage = Stage::Shared { exchange, key: key.clone() };
        Step { share: Some(share), ..Step::default() }
    }

    /// Answers a run that the other side opened: our share, then at once our CONFIRM.
    fn answer(&mut self, now: Instant, share: Share, means: &mut Means<'_>) -> Step {
        let Some(key) = means.key else {
            self.stage = Stage::Asked(share);
            return Step::default();
        };
        if let Some(step) = self.refuse_locked(key, Some(share), means.budget) {
            return step;
        }
        let exchange = Exchange::start(self.inputs, key, means.rng);
        let own = self.share_message(&exchange);
        let mut step = self.confirm(now, exchange, key, &share, means);
        step.share = Some(own);
        step
    }

    /// Both shares are here. The guess is charged before the CONFIRM that allows it.
    fn confirm(
        &mut self,
        now: Instant,
        exchange: Exchange,
        key: &EncryptionKey,
        share: &Share,
        means: &mut Means<'_>,
    ) -> Step {
        if let Some(step) = self.refuse_locked(key, None, means.budget) {
            return step;
        }
        let Ok(confirming) = exchange.finish(&share.share, &share.ad) else {
            return Step { news: Some(News::Invalid), ..Step::default() };
        };
        let Ok(charge) = means.budget.charge(key) else {
            self.stage = Stage::Locked { share: None };
            return Step { news: Some(News::Locked { failed: means.budget.spent(key) }), ..Step::default() };
        };
        self.guesses = self.guesses.saturating_add(1);
        let confirm = self.confirm_message(&confirming);
        let silent_at = Some(now + CONFIRM_PATIENCE);
        self.stage = Stage::Confirmed { confirming: Box::new(confirming), charge, silent_at };
        Step { confirm: Some(confirm), ..Step::default() }
    }

    /// The run has failed. A key that was set meanwhile opens the next.
    fn fail(&mut self, news: News, means: &mut Means<'_>) -> Step {
        self.failed += 1;
        self.stage = Stage::Failed;
        if self.failed >= RUNS_MAX {
            return Step { news: Some(News::TooManyRuns), ..Step::default() };
        }
        let mut step = Step { news: Some(news), ..Step::default() };
        if core::mem::take(&mut self.key_waits) {
            step.share = self.open_next(means).share;
        }
        step
    }

    fn refuse_locked(
        &mut self,
        key: &EncryptionKey,
        share: Option<Share>,
        budget: &GuessBudget,
    ) -> Option<Step> {
        let here = self.guesses >= GUESSES_PER_CHANNEL;
        if !here && !budget.is_locked(key) {
            return None;
        }
        let failed = budget.spent(key).max(u32::from(self.guesses));
        self.stage = Stage::Locked { share };
        Some(Step { news: Some(News::Locked { failed }), ..Step::default() })
    }

    fn share_message(&self, exchange: &Exchange) -> Share {
        Share { run: self.inputs.run, share: exchange.share(), ad: exchange.ad() }
    }

    fn confirm_message(&self, confirming: &Confirming) -> Confirm {
        let (check, tag) = confirming.confirm();
        Confirm { run: self.inputs.run, check, tag }
    }
}
