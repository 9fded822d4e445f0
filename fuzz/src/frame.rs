//! Frames: whatever decodes is exactly one frame, in one form, of one direction; nothing else is accepted, and the error says which
//! of the three things is wrong.

use phantom_core::wire::{CONTROL_MAX, ClientFrame, DecodeError, ForwardHeader, RelayFrame};

/// Decodes `data` as a frame of each direction.
pub fn frame(data: &[u8]) {
    let client = ClientFrame::decode(data).map(|frame| frame.encode());
    let relay = RelayFrame::decode(data).map(|frame| frame.encode());
    for decoded in [&client, &relay] {
        match decoded {
            Ok(encoded) => assert_eq!(&encoded[..], data, "one frame, one form"),
            Err(error) => assert_eq!(Some(*error), honest_error(*error, data)),
        }
    }
    assert!(client.is_err() || relay.is_err(), "a kind belongs to one direction");
    if let Ok(ClientFrame::Rejoin { role, .. }) = ClientFrame::decode(data) {
        assert!(role <= 1, "a channel has two roles");
    }
    if client.is_ok() || relay.is_ok() {
        assert!(data.len() <= CONTROL_MAX);
        shorter_and_longer(data);
    }

    let mut forwarded = data.to_vec();
    let header = ForwardHeader { channel: 0xdead_beef };
    match ForwardHeader::peek(data) {
        Some(old) => {
            assert!(client.is_err() && relay.is_err(), "FORWARD is no control frame");
            assert_eq!(&old.to_bytes()[..], &data[..5]);
            header.rewrite(&mut forwarded);
            assert_eq!(ForwardHeader::peek(&forwarded), Some(header));
            assert_eq!(forwarded[5..], data[5..], "the payload is not the relay's to touch");
        }
        None => header.rewrite(&mut forwarded),
    }
}

/// The error itself, if it is true of `data`.
fn honest_error(error: DecodeError, data: &[u8]) -> Option<DecodeError> {
    match (error, data.first()) {
        (DecodeError::Empty, None) => Some(error),
        (DecodeError::UnknownKind(kind) | DecodeError::Malformed(kind), Some(&first)) if kind == first => {
            Some(error)
        }
        _ => None,
    }
}

fn shorter_and_longer(data: &[u8]) {
    let mut longer = data.to_vec();
    longer.push(0);
    let shorter = &data[..data.len() - 1];
    for wrong in [shorter, &longer] {
        assert!(ClientFrame::decode(wrong).is_err() && RelayFrame::decode(wrong).is_err());
    }
}
