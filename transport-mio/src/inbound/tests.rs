use std::io::ErrorKind;

use super::*;

const RELAY: Rules = Rules { message_max: 65_536, text: false };
const ECHO: Rules = Rules { message_max: 1 << 20, text: true };

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [9, 8, 7, 6];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Gives its bytes in portions, and would block between them.
struct Portions<'a> {
    bytes: &'a [u8],
    portion: usize,
    blocked: bool,
}

impl Read for Portions<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.blocked = !self.blocked;
        if self.blocked {
            return Err(ErrorKind::WouldBlock.into());
        }
        let portion = buf.len().min(self.portion).min(self.bytes.len());
        buf[..portion].copy_from_slice(&self.bytes[..portion]);
        self.bytes = &self.bytes[portion..];
        Ok(portion)
    }
}

/// Everything that comes out of `bytes`, fed in portions, as (what, length), and the replies.
fn decode(rules: &Rules, bytes: &[u8], portion: usize) -> (Vec<(&'static str, Vec<u8>)>, Vec<u8>) {
    let (mut inbound, mut out, mut replies) = (Inbound::default(), Vec::new(), Vec::new());
    let mut socket = Portions { bytes, portion, blocked: false };
    let mut input = vec![0; INPUT_MIN];
    while !socket.bytes.is_empty() {
        let Ok(filled) = inbound.fill(&mut socket, &mut input) else { continue };
        let frame = filled.frame.then(|| inbound.take_frame());
        let mut part = frame.unwrap_or_else(|| input[..filled.input].to_vec());
        let mut at = 0;
        loop {
            let what = match inbound.next(rules, &mut part, &mut at, &mut replies) {
                Incoming::Message { payload, text } => {
                    (if text { "text" } else { "binary" }, part[payload].to_vec())
                }
                Incoming::Gathered { payload, .. } => ("gathered", payload),
                Incoming::Nothing => break,
                Incoming::Closed => ("closed", Vec::new()),
                Incoming::Invalid(fault) => ("invalid", format!("{fault:?}").into_bytes()),
            };
            out.push(what);
            if matches!(out.last(), Some(("closed" | "invalid", _))) {
                return (out, replies);
            }
        }
        if at < part.len() {
            inbound.carry(&part[at..]);
        }
    }
    (out, replies)
}

#[test]
fn portions_do_not_matter() {
    let mut bytes = Vec::new();
    let payload = |len: usize| (0..len).map(|n| (n * 7 + len) as u8).collect::<Vec<_>>();
    let mut expected = Vec::new();
    for len in [1, 0, 125, 126, 5000, 65_535, 65_536, 7, 30_000, 40_000, 3] {
        bytes.extend(masked(0x82, &payload(len)));
        expected.push(("binary", payload(len)));
    }
    bytes.extend(masked(0x89, b"ping"));
    bytes.extend(masked(0x02, b"frag"));
    bytes.extend(masked(0x8a, b"unasked"));
    bytes.extend(masked(0x00, &payload(20_000)));
    bytes.extend(masked(0x80, b"ment"));
    bytes.extend(masked(0x88, &1000u16.to_be_bytes()));
    expected.push(("gathered", [&b"frag"[..], &payload(20_000), b"ment"].concat()));
    expected.push(("closed", Vec::new()));
    for portion in [1, 3, 1000, 16_384, 16_391, 40_000, 1 << 20] {
        let (out, replies) = decode(&RELAY, &bytes, portion);
        assert!(out == expected, "portion {portion}");
        assert_eq!(replies, b"\x8a\x04ping\x88\x02\x03\xe8", "portion {portion}");
    }
}

#[test]
fn what_must_not_come_is_told_by_its_header() {
    let too_long = masked(0x82, &vec![0; RELAY.message_max + 1]);
    let mut fragments = masked(0x02, &vec![0; RELAY.message_max]);
    fragments.extend(masked(0x80, &[0]));
    let mut inside = masked(0x02, b"begun");
    inside.extend(masked(0x82, b"another"));
    let mut huge = vec![0x82, 0xff];
    huge.extend([0xff; 12]);
    for (bytes, fault) in [
        (&too_long[..14], Fault::TooLarge),
        (&fragments, Fault::TooLarge),
        (&masked(0x81, b"text"), Fault::Text),
        (&masked(0x83, b"reserved opcode"), Fault::Protocol),
        (&masked(0x8b, b"reserved control"), Fault::Protocol),
        (&masked(0xc2, b"reserved bit"), Fault::Protocol),
        (&masked(0x80, b"continues nothing"), Fault::Protocol),
        (&inside, Fault::Protocol),
        (&masked(0x09, b"a ping in parts"), Fault::Protocol),
        (&masked(0x89, &[0; 126]), Fault::Protocol),
        (&huge, Fault::Protocol),
        (b"\x82\x01unmasked", Fault::Protocol),
        (b"\x82\xfe\x00\x01mask1 not in its shortest form", Fault::Protocol),
        (b"\x82\xff\0\0\0\0\0\0\xff\xffmask", Fault::Protocol),
        (&masked(0x88, &[3]), Fault::Protocol),
        (&masked(0x88, &1005u16.to_be_bytes()), Fault::Protocol),
        (&masked(0x88, b"\x03\xe8\xff"), Fault::Utf8),
    ] {
        let (out, replies) = decode(&RELAY, bytes, 1 << 20);
        assert_eq!(out.last(), Some(&("invalid", format!("{fault:?}").into_bytes())), "{bytes:x?}");
        assert_eq!(replies, []);
    }
    assert_eq!(decode(&ECHO, &masked(0x81, b"\xff"), 100).0, [("invalid", b"Utf8".to_vec())]);
    assert_eq!(decode(&ECHO, &masked(0x81, b"text"), 100).0, [("text", b"text".to_vec())]);
}

#[test]
fn a_flood_of_pings_is_not_answered_without_end() {
    let bytes = masked(0x89, &[7; 125]).repeat(1000);
    let (mut inbound, mut replies, mut at) = (Inbound::default(), Vec::new(), 0);
    let mut input = bytes;
    assert!(matches!(inbound.next(&RELAY, &mut input, &mut at, &mut replies), Incoming::Nothing));
    assert!(replies.len() <= REPLIES_MAX && replies.ends_with(&[7; 125]));
    assert_eq!(inbound.frames, 1000);
}

/// Sixteen bytes of a frame of 64 KiB make nobody keep 64 KiB.
#[test]
fn what_is_kept_grows_with_what_has_come() {
    let bytes = masked(0x82, &[1; 65_536]);
    let mut inbound = Inbound::default();
    let mut input = vec![0; INPUT_MIN];
    let mut came = 0;
    while came < bytes.len() {
        let filled = inbound.fill(&mut &bytes[came..(came + 100).min(bytes.len())], &mut input).unwrap();
        came += filled.read;
        if filled.frame {
            break;
        }
        if filled.input > 0 {
            inbound.carry(&input[..filled.input]);
        }
        assert!(inbound.memory() <= 4 * came, "{} bytes kept of {came}", inbound.memory());
    }
    let mut frame = inbound.take_frame();
    let next = inbound.next(&RELAY, &mut frame, &mut 0, &mut Vec::new());
    assert!(matches!(next, Incoming::Message { payload, .. } if payload == (14..14 + 65_536)));
}

#[test]
fn what_was_kept_undecoded_is_taken_once() {
    let mut inbound = Inbound::default();
    inbound.keep(b"");
    assert!(!inbound.has_undecoded() && inbound.take_undecoded().is_none());
    inbound.keep(b"kept");
    assert!(inbound.has_undecoded());
    assert_eq!(inbound.take_undecoded().as_deref(), Some(&b"kept"[..]));
    assert!(!inbound.has_undecoded() && inbound.take_undecoded().is_none() && inbound.memory() == 0);
}

/// What has come of a long frame is copied twice at most, however little comes at a time; what is read goes behind it then.
#[test]
fn a_long_frame_is_copied_in_front_of_a_read_once() {
    let bytes = masked(0x82, &[1; 40_000]);
    let (mut inbound, mut input) = (Inbound::default(), vec![0; 2 * INPUT_MIN]);
    inbound.carry(&bytes[..20_000]);
    let filled = inbound.fill(&mut &bytes[20_000..20_010], &mut input).unwrap();
    assert_eq!((filled.input, filled.frame), (20_010, false));
    let mut at = 0;
    assert!(matches!(
        inbound.next(&RELAY, &mut input[..20_010], &mut at, &mut Vec::new()),
        Incoming::Nothing
    ));
    assert_eq!((at, frame_len(&input[..20_010])), (0, Some(bytes.len())));
    inbound.carry(&input[..20_010]);
    for range in [20_010..20_020, 20_020..bytes.len()] {
        let filled = inbound.fill(&mut &bytes[range.clone()], &mut input).unwrap();
        assert_eq!((filled.input, filled.read, filled.frame), (0, range.len(), range.end == bytes.len()));
    }
    assert!(inbound.take_frame() == bytes);
    // The next one is another frame.
    inbound.carry(&bytes[..20_000]);
    assert_eq!(inbound.fill(&mut &bytes[20_000..], &mut input).unwrap().input, bytes.len());
}
