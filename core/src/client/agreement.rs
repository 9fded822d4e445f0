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
//! | `Locked` (no guesses left) | answer what is kept, else open the next | | keep it | | |
//!
//! To answer is to send a SHARE and at once the CONFIRM. A run after the first is answered late (`Delayed`), and without a key not
//! at all (`Asked`). Whoever has no guess left is `Locked` instead of sending either. A run has failed if our share was part of it
//! and it ended without being secured: by its verdict, or because the other side has opened the next.
//!
//! What is not in the table is ignored. A side that has sent CONFIRM never leaves the run by its own act: the other side may be
//! secured already. A SHARE of the next run proves that it is not, so following it is always right.

use alloc::boxed::Box;
use alloc::vec::Vec;

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
}

enum Stage {
    Idle,
    Asked(Share),
    Delayed { share: Share, until: Instant },
    Shared { exchange: Exchange, key: EncryptionKey },
    Confirmed(Box<Confirmed>),
    Failed,
    Locked { share: Option<Share> },
}

/// Our CONFIRM is out.
struct Confirmed {
    confirming: Confirming,
    charge: Charge,
    key: EncryptionKey,
    /// The user has set another key since.
    key_waits: bool,
    silent_at: Option<Instant>,
}

/// What an act led to, in the order in which it is to be carried out.
#[derive(Default)]
#[must_use]
pub(super) struct Step {
    pub(super) share: Option<Share>,
    pub(super) confirm: Option<Confirm>,
    pub(super) news: Vec<News>,
}

impl From<News> for Step {
    fn from(news: News) -> Self {
        Self { news: [news].into(), ..Self::default() }
    }
}

/// What the agreement tells its channel.
pub(super) enum News {
    /// The keys agree. If the user has set another one since, it is refused.
    Secured { secured: Box<Secured>, confirm: Confirm, key: EncryptionKey, key_refused: bool },
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
        Self { inputs, stage: Stage::Idle, failed: 0, answered: 0, guesses: 0 }
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
            Stage::Confirmed(mut confirmed) => {
                confirmed.key_waits |= changed;
                self.stage = Stage::Confirmed(confirmed);
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
                if matches!(stage, Stage::Shared { .. } | Stage::Confirmed(_)) {
                    self.failed += 1;
                }
                if self.failed >= RUNS_MAX {
                    return News::TooManyRuns.into();
                }
                if matches!(stage, Stage::Locked { .. }) {
                    self.stage = Stage::Locked { share: Some(share) };
                } else if means.key.is_none() {
                    self.stage = Stage::Asked(share);
                } else if share.run == 1 {
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
            Stage::Confirmed(confirmed) if confirm.run == self.inputs.run => {
                let own = self.confirm_message(&confirmed.confirming);
                let Confirmed { confirming, charge, key, key_waits, .. } = *confirmed;
                match confirming.judge(&confirm.check, &confirm.tag) {
                    Verdict::Secured(secured) => {
                        means.budget.give_back(charge);
                        let key_refused = key_waits && means.key.is_some_and(|set| !set.same_as(&key));
                        News::Secured { secured, confirm: own, key, key_refused }.into()
                    }
                    Verdict::KeysDiffer => {
                        let guesses_left = GUESSES_PER_CHANNEL.saturating_sub(self.guesses);
                        self.fail(News::KeysDiffer { guesses_left }, key_waits, means)
                    }
                    Verdict::HandshakeAltered => self.fail(News::Altered, key_waits, means),
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
            Stage::Confirmed(confirmed) if confirmed.silent_at.is_some_and(|at| at <= now) => {
                confirmed.silent_at = None;
                News::PeerSilent.into()
            }
            _ => Step::default(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Delayed { until, .. } => Some(*until),
            Stage::Confirmed(confirmed) => confirmed.silent_at,
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
            Stage::Confirmed(confirmed) => {
                let confirming = &confirmed.confirming;
                Some((self.confirm_message(confirming), confirming.rendezvous()))
            }
            _ => None,
        }
    }

    /// The other side can be reached again, and its silence counts from now on.
    pub(super) fn on_attached(&mut self, now: Instant) {
        if let Stage::Confirmed(confirmed) = &mut self.stage {
            confirmed.silent_at = Some(now + CONFIRM_PATIENCE);
        }
    }

    /// Opens a run by the user's act.
    fn open_next(&mut self, means: &mut Means<'_>) -> Step {
        let Some(run) = self.inputs.run.checked_add(1) else {
            return News::TooManyRuns.into();
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
            return News::Invalid.into();
        };
        let Ok(charge) = means.budget.charge(key) else {
            self.stage = Stage::Locked { share: None };
            return News::Locked { failed: means.budget.spent(key) }.into();
        };
        self.guesses = self.guesses.saturating_add(1);
        let confirm = self.confirm_message(&confirming);
        self.stage = Stage::Confirmed(Box::new(Confirmed {
            confirming,
            charge,
            key: key.clone(),
            key_waits: false,
            silent_at: Some(now + CONFIRM_PATIENCE),
        }));
        Step { confirm: Some(confirm), ..Step::default() }
    }

    /// The run has failed. A key that was set meanwhile opens the next.
    fn fail(&mut self, news: News, key_waits: bool, means: &mut Means<'_>) -> Step {
        self.failed += 1;
        self.stage = Stage::Failed;
        if self.failed >= RUNS_MAX {
            return News::TooManyRuns.into();
        }
        let mut step = if key_waits { self.open_next(means) } else { Step::default() };
        step.news.insert(0, news);
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
        Some(News::Locked { failed }.into())
    }

    fn share_message(&self, exchange: &Exchange) -> Share {
        Share { run: self.inputs.run, share: exchange.share(), ad: exchange.ad() }
    }

    fn confirm_message(&self, confirming: &Confirming) -> Confirm {
        let (check, tag) = confirming.confirm();
        Confirm { run: self.inputs.run, check, tag }
    }
}

#[cfg(test)]
mod tests;
