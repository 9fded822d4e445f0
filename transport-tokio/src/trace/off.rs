//! Without the feature: nothing.

use phantom_core::client::Event;

use crate::Error;

pub(crate) struct Trace;

impl Trace {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn dial(&self, _relay: &str) {}

    pub(crate) fn event(&mut self, _event: &Event, _failure: Option<&Error>) {}
}
