//! What the driver tells the client's owner: its ID, events, requests. Bounded: of events the oldest give way.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use phantom_core::id::{PeerId, RequestId};
use tokio::sync::Notify;

use crate::Event;

/// Events that wait to be taken.
const EVENTS_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct News {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    id: Option<PeerId>,
    online: bool,
    events: VecDeque<Event>,
    /// As many as the machine allows.
    requests: VecDeque<(RequestId, PeerId)>,
    over: bool,
}

impl News {
    pub(crate) fn id(&self) -> Option<PeerId> {
        self.lock().id
    }

    pub(crate) fn is_online(&self) -> bool {
        self.lock().online
    }

    pub(crate) async fn next_event(&self) -> Option<Event> {
        self.wait(|state| state.events.pop_front()).await
    }

    pub(crate) async fn next_request(&self) -> Option<(RequestId, PeerId)> {
        self.wait(|state| state.requests.pop_front()).await
    }

    /// Waits until `take` finds something; nothing if there will be no more.
    async fn wait<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                let taken = take(&mut state);
                if taken.is_some() || state.over {
                    return taken;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn on_event(&self, event: Event) {
        self.change(|state| {
            match event {
                Event::Online { id, .. } => (state.id, state.online) = (Some(id), true),
                Event::Offline { .. } => state.online = false,
                _ => {}
            }
            if state.events.len() == EVENTS_MAX {
                state.events.pop_front();
            }
            state.events.push_back(event);
        });
    }

    pub(crate) fn on_request(&self, request: RequestId, from: PeerId) {
        self.change(|state| state.requests.push_back((request, from)));
    }

    /// These requests are over: nobody need decide them any more.
    pub(crate) fn forget_requests(&self, over: impl Fn(RequestId, PeerId) -> bool) {
        self.lock().requests.retain(|&(request, from)| !over(request, from));
    }

    /// There will be no more news.
    pub(crate) fn on_over(&self) {
        self.change(|state| {
            (state.online, state.over) = (false, true);
            state.requests.clear();
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
