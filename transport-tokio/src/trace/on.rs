//! With the feature: a span `phantom_client` for each client, in it a span `channel` for each channel, and the events in them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use phantom_core::client::{End, Event};
use phantom_core::id::ChannelId;
use tracing::{Span, debug, info, info_span, warn};

use crate::Error;

/// Clients of this process, to tell them apart without their IDs.
static CLIENTS: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Trace {
    client: Span,
    channels: BTreeMap<ChannelId, Span>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        let client = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Self { client: info_span!("phantom_client", client), channels: BTreeMap::new() }
    }

    pub(crate) fn dial(&self, relay: &str) {
        self.client.in_scope(|| info!(relay, "dial"));
    }

    /// `failure`: why a dial failed, if one has.
    pub(crate) fn event(&mut self, event: &Event, failure: Option<&Error>) {
        if let Event::Opened { channel, peer, role } = *event {
            let span = info_span!(parent: &self.client, "channel", channel = tracing::field::debug(channel));
            span.in_scope(|| {
                info!(?role, "opened");
                debug!(%peer, "opponent");
            });
            self.channels.insert(channel, span);
            return;
        }
        self.client.in_scope(|| match event {
            Event::Online { id, kept } => {
                info!(kept, "online");
                debug!(%id, "own ID");
            }
            Event::Offline { code, .. } => match (failure, code) {
                (Some(error), _) => warn!(kind = %error.kind(), %error, "offline"),
                (None, Some(code)) => warn!(%code, "offline"),
                (None, None) => warn!("offline"),
            },
            Event::RelayRestarting { after_ms } => info!(after_ms, "the relay restarts"),
            Event::Incoming { from, .. } => {
                info!("request");
                debug!(%from, "who asks");
            }
            Event::Answer { peer, answer, .. } => debug!(%peer, %answer, "answer"),
            _ => {}
        });
        self.of_channel(event);
    }

    fn of_channel(&mut self, event: &Event) {
        let at = |channel: &ChannelId| self.channels.get(channel).cloned().unwrap_or_else(Span::none);
        match event {
            Event::Secured { channel } => at(channel).in_scope(|| info!("secured")),
            Event::KeysDiffer { channel, guesses_left } => {
                at(channel).in_scope(|| warn!(guesses_left, "the keys differ"));
            }
            Event::HandshakeAltered { channel } => {
                at(channel).in_scope(|| warn!("the key agreement was altered"));
            }
            Event::PeerSilent { channel } => at(channel).in_scope(|| warn!("the other side is silent")),
            Event::Locked { channel, failed } => at(channel).in_scope(|| warn!(failed, "locked")),
            Event::KeyRefused { channel } => at(channel).in_scope(|| warn!("a key came too late")),
            Event::Interrupted { channel, relay_says } => at(channel).in_scope(|| match relay_says {
                Some(word) => warn!(relay_says = %word, "interrupted"),
                None => warn!("interrupted"),
            }),
            Event::Resumed { channel } => at(channel).in_scope(|| info!("resumed")),
            Event::Closed { channel, end, fate, .. } => {
                let span = self.channels.remove(channel).unwrap_or_else(Span::none);
                span.in_scope(|| match end {
                    End::Finished => info!(%end, delivered = fate.delivered, "ended"),
                    _ => warn!(%end, delivered = fate.delivered, uncertain = fate.uncertain, "ended"),
                });
            }
            _ => {}
        }
    }
}
