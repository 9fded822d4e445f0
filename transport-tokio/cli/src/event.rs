//! What `--json` prints: one object per line, with its kind under `event`.
//!
//! | `event` | members |
//! | --- | --- |
//! | `invitation` | `invitation`, `relay`, `id`, `command`: the other side's, without the invitation |
//! | `asking` | `id` of the one who invited |
//! | `request` | `from`: somebody asks to connect |
//! | `refused` | `from`: somebody without the right key was sent away |
//! | `secured` | |
//! | `offline`, `online` | the way to the relay |
//! | `interrupted`, `resumed` | the way to the other side |
//! | `line` | `text`: the other side's, in a chat |
//! | `delivered` | `lines`: how many more of this side's lines the other side has |
//! | `listening` | `address` where connections are accepted |
//! | `step` | `name`, `ok`, `text`: of `doctor`; names are `lookup`, `tcp`, `tls`, `websocket`, `version`, `registration`, `round-trip`, `echo` |
//! | `result` | of `bench`, one for each size: `size`, `pairs`, `packets_per_second`, `bytes_per_second`, `round_trips`, and `round_trip_us` with `p50`, `p90`, `p99`, `p999`, `max` |
//! | `text` | `text`: a result in words |
//! | `end` | `status`: the exit status, 0; the last object |
//! | `error` | `status`: the exit status, `text`: the sentence; the last object |
//!
//! Kinds and members may be added; a script ignores what it does not know.

use std::net::SocketAddr;

use phantom_core::id::PeerId;
use serde_json::{Value, json};

use crate::bench::Figures;

/// Something a script may want to know.
pub(crate) enum Event<'a> {
    Invitation { invitation: &'a str, relay: &'a str, id: PeerId, command: &'a str },
    Asking { id: PeerId },
    Request { from: PeerId },
    Refused { from: PeerId },
    Secured,
    Offline,
    Online,
    Interrupted,
    Resumed,
    Line { text: &'a str },
    Delivered { lines: u64 },
    Listening { address: SocketAddr },
    Step { name: &'a str, ok: bool, text: &'a str },
    Result { figures: &'a Figures },
    Text { text: &'a str },
    End,
    Error { status: u8, text: &'a str },
}

impl Event<'_> {
    /// The object.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Invitation { invitation, relay, id, command } => json!({
                "event": "invitation", "invitation": invitation, "relay": relay, "id": id.to_string(), "command": command,
            }),
            Self::Asking { id } => json!({ "event": "asking", "id": id.to_string() }),
            Self::Request { from } => json!({ "event": "request", "from": from.to_string() }),
            Self::Refused { from } => json!({ "event": "refused", "from": from.to_string() }),
            Self::Secured => json!({ "event": "secured" }),
            Self::Offline => json!({ "event": "offline" }),
            Self::Online => json!({ "event": "online" }),
            Self::Interrupted => json!({ "event": "interrupted" }),
            Self::Resumed => json!({ "event": "resumed" }),
            Self::Line { text } => json!({ "event": "line", "text": text }),
            Self::Delivered { lines } => json!({ "event": "delivered", "lines": lines }),
            Self::Listening { address } => json!({ "event": "listening", "address": address.to_string() }),
            Self::Step { name, ok, text } => json!({ "event": "step", "name": name, "ok": ok, "text": text }),
            Self::Result { figures } => {
                let trip = |quantile| figures.round_trips.value_at_quantile(quantile);
                json!({
                    "event": "result",
                    "size": figures.size,
                    "pairs": figures.pairs,
                    "packets_per_second": figures.packets_per_second(),
                    "bytes_per_second": figures.bytes_per_second(),
                    "round_trips": figures.round_trips.len(),
                    "round_trip_us": {
                        "p50": trip(0.5), "p90": trip(0.9), "p99": trip(0.99), "p999": trip(0.999), "max": trip(1.0),
                    },
                })
            }
            Self::Text { text } => json!({ "event": "text", "text": text }),
            Self::End => json!({ "event": "end", "status": 0 }),
            Self::Error { status, text } => json!({ "event": "error", "status": status, "text": text }),
        }
    }
}
