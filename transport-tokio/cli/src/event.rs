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
//! | `left` | `from`: the other side has left a chat, and may come back |
//! | `listening` | `address` where connections are accepted |
//! | `offer` | `name`, `files`, `size` in bytes or null if nobody knows, `replaces`: what is there already, or null; of `send` and `receive` |
//! | `left-out` | `text`: what is not sent, and why |
//! | `progress` | `bytes` that are there, `size`: twice a second |
//! | `sent` | `files`, `bytes` that went over the channel, `kept`: bytes that were there already, `seconds`, `blake3` of a single file or null |
//! | `received` | the same, and `paths`, and `text` if it is one, else null |
//! | `step` | `name`, `ok`, `text`: of `doctor`; names are `lookup`, `tcp` (or both done by `proxy`), `tls`, `websocket`, `version`, `registration`, `round-trip`, `echo` |
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
use crate::progress::{self, Task};

/// Something a script may want to know.
pub(crate) enum Event<'a> {
    Invitation {
        invitation: &'a str,
        relay: &'a str,
        id: PeerId,
        command: &'a str,
    },
    Asking {
        id: PeerId,
    },
    Request {
        from: PeerId,
    },
    Refused {
        from: PeerId,
    },
    Secured,
    Offline,
    Online,
    Interrupted,
    Resumed,
    Line {
        text: &'a str,
    },
    Delivered {
        lines: u64,
    },
    Left {
        from: PeerId,
    },
    Listening {
        address: SocketAddr,
    },
    Offer {
        name: &'a str,
        task: Task,
        replaces: Option<&'a str>,
    },
    LeftOut {
        text: &'a str,
    },
    Progress {
        bytes: u64,
        size: Option<u64>,
    },
    Sent {
        figures: &'a progress::Figures,
        blake3: Option<&'a str>,
    },
    Received {
        paths: &'a [String],
        text: Option<&'a str>,
        figures: &'a progress::Figures,
        blake3: Option<&'a str>,
    },
    Step {
        name: &'a str,
        ok: bool,
        text: &'a str,
    },
    Result {
        figures: &'a Figures,
    },
    Text {
        text: &'a str,
    },
    End,
    Error {
        status: u8,
        text: &'a str,
    },
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
            Self::Left { from } => json!({ "event": "left", "from": from.to_string() }),
            Self::Listening { address } => json!({ "event": "listening", "address": address.to_string() }),
            Self::Offer { name, task, replaces } => json!({
                "event": "offer", "name": name, "files": task.files, "size": task.size, "replaces": replaces,
            }),
            Self::LeftOut { text } => json!({ "event": "left-out", "text": text }),
            Self::Progress { bytes, size } => json!({ "event": "progress", "bytes": bytes, "size": size }),
            Self::Sent { figures, blake3 } => json!({
                "event": "sent", "files": figures.files, "bytes": figures.moved, "kept": figures.kept,
                "seconds": figures.taken.as_secs_f64(), "blake3": blake3,
            }),
            Self::Received { paths, text, figures, blake3 } => json!({
                "event": "received", "paths": paths, "text": text, "files": figures.files, "bytes": figures.moved,
                "kept": figures.kept, "seconds": figures.taken.as_secs_f64(), "blake3": blake3,
            }),
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
