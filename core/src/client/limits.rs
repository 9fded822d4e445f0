//! Every limit and time of the client, with its default (`PROTOCOL.md`, "Limits and times").

use crate::time::Duration;

/// What a client allows and how patient it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Channels at once, 1 to 64. The relay may grant fewer.
    pub channels_max: u8,
    /// Requests of others that wait for this client's decision; further ones are declined.
    pub prompts_max: usize,
    /// The largest packet taken, as a power of two: 16 (64 KiB) to 30 (1 GiB). Told to the other side.
    pub packet_max_log2: u8,
    /// Bytes of packets that wait unsealed, per channel; each packet counts 32 bytes more than it has.
    pub queue_max_bytes: usize,
    /// Bytes of records sealed and not yet confirmed, per channel. At least 128 KiB.
    pub unacked_max_bytes: usize,
    /// Records sealed and not yet confirmed, per channel.
    pub unacked_max_records: usize,
    /// Bytes of records received whose packets the application has not taken, per channel. At least 128 KiB.
    pub receive_window_bytes: usize,
    /// How long a dial may take, until the transport stands. This and the next two are at least a second.
    pub dial_timeout: Duration,
    /// How long the relay may take to greet and to give an ID.
    pub join_timeout: Duration,
    /// The time between pings, whatever else is sent, and the time in which the relay must then be heard.
    pub ping_interval: Duration,
    /// The first pause before dialling again; each further one is twice as long.
    pub redial_min: Duration,
    /// The longest pause before dialling again.
    pub redial_max: Duration,
    /// How long a channel may take to be secured, from its opening or from the last run of the key agreement; at least a second.
    pub secure_timeout: Duration,
    /// How long a cut channel looks for the other end. Zero: a cut ends it.
    pub patience: Duration,
    /// The same, while the key agreement is not complete.
    pub patience_unsecured: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            channels_max: 1,
            prompts_max: 16,
            packet_max_log2: 20,
            queue_max_bytes: 1 << 20,
            unacked_max_bytes: 1 << 20,
            unacked_max_records: 1024,
            receive_window_bytes: 1 << 20,
            dial_timeout: Duration::from_secs(20),
            join_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            redial_min: Duration::from_millis(500),
            redial_max: Duration::from_secs(30),
            secure_timeout: Duration::from_secs(600),
            patience: Duration::from_secs(600),
            patience_unsecured: Duration::from_secs(120),
        }
    }
}

impl ClientLimits {
    /// The nearest limits that the protocol allows.
    pub(super) fn clamped(mut self) -> Self {
        self.channels_max = self.channels_max.clamp(1, crate::wire::CHANNELS_MAX);
        self.packet_max_log2 = self.packet_max_log2.clamp(PACKET_LOG2_MIN, PACKET_LOG2_MAX);
        self.unacked_max_bytes = self.unacked_max_bytes.max(WINDOW_MIN);
        self.unacked_max_records = self.unacked_max_records.max(8);
        self.receive_window_bytes = self.receive_window_bytes.clamp(WINDOW_MIN, 1 << 30);
        for time in [&mut self.dial_timeout, &mut self.join_timeout, &mut self.ping_interval] {
            *time = (*time).max(Duration::from_secs(1));
        }
        self.secure_timeout = self.secure_timeout.max(Duration::from_secs(1));
        self.redial_min = self.redial_min.clamp(Duration::from_millis(10), REDIAL_MAX);
        self.redial_max = self.redial_max.clamp(self.redial_min, REDIAL_MAX);
        self
    }
}

/// The smallest largest packet a side may announce, as a power of two.
pub(super) const PACKET_LOG2_MIN: u8 = 16;
/// The largest largest packet a side may announce, as a power of two.
pub(super) const PACKET_LOG2_MAX: u8 = 30;
/// The longest pause before dialling again that can be asked for.
const REDIAL_MAX: Duration = Duration::from_secs(3600);
/// The smallest window.
const WINDOW_MIN: usize = 128 << 10;
/// What a sender may have on its way before the first STATE of the other side.
pub(super) const FIRST_WINDOW: u64 = 64 << 10;
/// What a packet in a queue counts beside its bytes.
pub(super) const PACKET_OVERHEAD: usize = 32;
/// Records of unacknowledged control items (KEY_UPDATE, FIN) beyond the limit of records.
pub(super) const CONTROL_RECORDS: usize = 4;
/// A packet is not cut into parts shorter than this for a sliver of window.
pub(super) const PART_MIN: usize = 1024;

/// An opened record is acknowledged at the latest after this time ...
pub(super) const ACK_DELAY: Duration = Duration::from_millis(200);
/// ... or this many records ...
pub(super) const ACK_RECORDS: u32 = 32;
/// ... or bytes.
pub(super) const ACK_BYTES: u64 = 64 << 10;
/// A STATE with a request to answer is sent after this time without any record,
pub(super) const ASK_IDLE: Duration = Duration::from_secs(20);
/// or this time without progress.
pub(super) const ASK_STALLED: Duration = Duration::from_secs(2);
/// Requests in a row that may stay unanswered before the attachment is left.
pub(super) const ASKS_MAX: u8 = 3;
/// Retransmission is asked for, and begun, at most once in this time without progress.
pub(super) const RETRANSMIT_PAUSE: Duration = Duration::from_secs(1);
/// A gap that lasts this long empties the pipe: the attachment is left.
pub(super) const GAP_MAX: Duration = Duration::from_secs(10);
/// Attachments in a row left for a gap, without any progress, before the channel ends.
pub(super) const GAPS_MAX: u8 = 3;
/// Wrong tags before the first valid record of an attachment, over all attachments, before the channel ends.
pub(super) const WRONG_PARTNERS_MAX: u8 = 16;
/// How long a closed side goes on answering until its FIN is acknowledged.
pub(super) const LINGER: Duration = Duration::from_secs(30);
/// REJOIN is repeated after this time; the relay keeps it twice as long.
pub(super) const REJOIN_REPEAT: Duration = Duration::from_secs(60);

/// A direction's key is replaced after this many records,
pub(super) const KEY_RECORDS: u64 = 1 << 20;
/// this many bytes,
pub(super) const KEY_BYTES: u64 = 1 << 30;
/// or this time with traffic.
pub(super) const KEY_AGE: Duration = Duration::from_secs(15 * 60);

/// Runs of the key agreement that may fail before the channel ends.
pub(super) const RUNS_MAX: u16 = 16;
/// Guesses at a key that one channel is worth.
pub(super) const GUESSES_PER_CHANNEL: u8 = 5;
/// How long the other side may take to confirm before its silence is reported.
pub(super) const CONFIRM_PATIENCE: Duration = Duration::from_secs(15);
/// The longest delay of an answer to a run after the first.
pub(super) const RUN_DELAY_MAX: Duration = Duration::from_secs(8);
/// The longest absence of a relay that is believed.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(600);
/// Frames in answer to unwanted ones of the relay, in one interval of pings: a relay that sends and does not read must not fill our
/// memory.
pub(super) const REPLIES_MAX: u8 = 64;
/// What the relay has beyond a request's lifetime to say that it expired.
pub(super) const REQUEST_GRACE: Duration = Duration::from_secs(5);

const _: () = {
    assert!(FIRST_WINDOW as usize <= WINDOW_MIN);
    assert!(crate::crypto::record::PLAINTEXT_SEND_MAX <= crate::crypto::record::PLAINTEXT_ACCEPT_MAX);
    assert!(ACK_RECORDS < 1024, "a sender must not run out of records before the first acknowledgement");
};
