//! What is told to people: each fault has a sentence of its own, with its figures in it; nothing that holds a secret prints it.

use alloc::string::{String, ToString};
use alloc::{format, vec, vec::Vec};
use core::error::Error;
use core::fmt::Display;

use crate::bits::{ReadError, WriteError};
use crate::client::{
    Client, ClientConfig, ConnectError, End, Input, NoChannel, Output, Packets, RequestError, SendError,
    SetKeyError,
};
use crate::crypto::cpace::ShareError;
use crate::crypto::guess::Locked;
use crate::crypto::key::KeyError;
use crate::crypto::record::{OpenError, SealError};
use crate::id::{ChannelId, InvalidPeerId, PeerId, RequestId};
use crate::packet::{self, DispatchError, RegisterError};
use crate::relay::RelaySecret;
use crate::rng::Rng;
use crate::wire::{self, Answer, CloseCode, Ended, RelayFrame, Welcome};

/// Sentences, each unlike the others.
fn sentences(said: &[&dyn Display]) {
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    for (at, sentence) in said.iter().enumerate() {
        assert!(sentence.len() >= 6 && !sentence.ends_with('.'), "{sentence:?}");
        assert!(sentence.starts_with(|first: char| !first.is_uppercase()), "{sentence:?}");
        assert!(!said[..at].contains(sentence), "{sentence:?} is said twice");
    }
}

fn says(said: impl Display, figures: &[&str]) {
    let said = said.to_string();
    for figure in figures {
        assert!(said.contains(figure), "{said:?} does not say {figure:?}");
    }
}

#[test]
fn every_fault_has_a_sentence_of_its_own() {
    use ReadError as R;
    sentences(&[
        &R::End,
        &R::NotMinimal,
        &R::OutOfRange,
        &R::InvalidUtf8,
        &R::InvalidChar,
        &R::Padding,
        &R::Trailing,
        &R::UnknownTag(1),
        &R::KeyOrder,
        &R::TooDeep,
        &R::Width(1),
        &R::Invalid("why"),
    ]);
    use WriteError as W;
    let width = 1;
    sentences(&[
        &W::DoesNotFit { width },
        &W::Width(1),
        &W::EmptyItems,
        &W::TooDeep,
        &W::ZeroId,
        &W::Invalid("why"),
    ]);
    sentences(&[
        &ConnectError::Offline,
        &ConnectError::OwnId,
        &ConnectError::AlreadyConnected,
        &ConnectError::RequestOpen,
    ]);
    sentences(&[&RequestError::NotConnected, &RequestError::AlreadyConnected]);
    sentences(&[&SetKeyError::NoChannel, &SetKeyError::ChannelSecured]);
    sentences(&[&SendError::Full, &SendError::NoChannel, &SendError::TooLarge { max: 1 }]);
    sentences(&[&NoChannel, &ShareError, &Locked, &InvalidPeerId]);
    sentences(&[
        &End::Finished,
        &End::Truncated,
        &End::Disconnected,
        &End::Left(None),
        &End::Left(Some(Ended::Stuck)),
        &End::NeverSecured,
        &End::HandshakeInvalid,
        &End::TooManyRuns,
        &End::Tampered { seq: 1 },
        &End::Violation,
        &End::RelayLoss,
        &End::Aborted { code: 0 },
        &End::Aborted { code: 1 },
        &End::Exhausted,
    ]);
    sentences(&[&KeyError::Empty, &KeyError::TooLong, &KeyError::Typo]);
    sentences(&[&SealError::Size, &SealError::Exhausted]);
    let (seq, expected, got) = (1, 2, 3);
    sentences(&[
        &OpenError::Malformed,
        &OpenError::Duplicate { seq },
        &OpenError::Gap { expected, got },
        &OpenError::Forged { seq },
    ]);
    sentences(&[&RegisterError::ZeroId, &RegisterError::Taken { id: 1 }]);
    let error = ReadError::End;
    sentences(&[
        &packet::DecodeError::NoId(error),
        &packet::DecodeError::OtherId { expected: 1, found: 2 },
        &packet::DecodeError::Malformed { id: 1, error },
    ]);
    sentences(&[
        &DispatchError::<NoChannel>::NoId(error),
        &DispatchError::<NoChannel>::UnknownId(1),
        &DispatchError::<NoChannel>::Malformed { id: 1, error },
        &DispatchError::Handler { id: 1, error: NoChannel },
    ]);
    sentences(&[
        &wire::DecodeError::Empty,
        &wire::DecodeError::UnknownKind(1),
        &wire::DecodeError::Malformed(1),
    ]);
    let answers = Answer::ALL;
    sentences(&answers.iter().map(|answer| answer as &dyn Display).collect::<Vec<_>>());
    let codes = CloseCode::ALL;
    sentences(&codes.iter().map(|code| code as &dyn Display).collect::<Vec<_>>());
    sentences(&[&Ended::Closed, &Ended::Detached, &Ended::Stuck, &Ended::NotConnected]);
}

#[test]
fn figures_are_told() {
    says(ReadError::UnknownTag(77), &["77"]);
    says(ReadError::TooDeep, &["64"]);
    says(ReadError::Invalid("no prime"), &["no prime"]);
    says(WriteError::DoesNotFit { width: 13 }, &["13"]);
    says(SendError::TooLarge { max: 4711 }, &["4711"]);
    says(End::Left(Some(Ended::Detached)), &[&Ended::Detached.to_string()]);
    says(End::Tampered { seq: 815 }, &["815"]);
    says(End::Aborted { code: 9 }, &["9"]);
    says(OpenError::Gap { expected: 5, got: 8 }, &["5", "8"]);
    says(packet::DecodeError::OtherId { expected: 31, found: 41 }, &["31", "41"]);
    says(DispatchError::Handler { id: 12, error: NoChannel }, &["12", &NoChannel.to_string()]);
    says(wire::DecodeError::UnknownKind(0xab), &["0xab"]);
    says(RequestId(12), &["12"]);
    says(ChannelId(34), &["34"]);
}

#[test]
fn what_lies_behind_an_error_is_its_source() {
    let error = ReadError::Padding;
    let is_source =
        |outer: &dyn Error| outer.source().is_some_and(|inner| inner.to_string() == error.to_string());
    assert!(is_source(&packet::DecodeError::NoId(error)));
    assert!(is_source(&packet::DecodeError::Malformed { id: 1, error }));
    assert!(packet::DecodeError::OtherId { expected: 1, found: 2 }.source().is_none());
    assert!(is_source(&DispatchError::<NoChannel>::NoId(error)));
    assert!(is_source(&DispatchError::<NoChannel>::Malformed { id: 1, error }));
    assert!(is_source(&DispatchError::Handler { id: 1, error }));
    assert!(DispatchError::<NoChannel>::UnknownId(1).source().is_none());
}

#[test]
fn what_may_hold_a_secret_is_named_and_not_shown() {
    let secret = vec![0xa7; 40];
    let bytes = || bytes::Bytes::from(secret.clone());
    let welcome = Welcome {
        id: PeerId::from_bytes(*b"ABCDEF").unwrap(),
        reclaimed: false,
        owner: [0xa7; 8],
        kid: 1,
        expiry: 12,
        token_key: [0xa7; 32],
        channels: 1,
        idle_s: 1,
        request_s: 1,
    };
    let mut packets = Packets::default();
    packets.push(bytes());
    let shown = [
        (format!("{:?}", Input::Received(secret[..].into())), "Received(40 bytes)"),
        (format!("{:?}", Output::Transmit(bytes())), "Transmit(40 bytes)"),
        (format!("{welcome:?}"), "Welcome { id: PeerId(ABCDEF), expiry: 12, .. }"),
        (format!("{:?}", RelayFrame::Welcome(welcome).encode()), "ControlFrame(0x82, 62 bytes)"),
        (format!("{:?}", Rng::from_seed(&[0xa7; 32])), "Rng"),
        (format!("{:?}", RelaySecret::new(5, [0xa7; 32])), "RelaySecret"),
        (format!("{packets:?}"), "Packets { len: 1, cost: 72 }"),
        (format!("{:?}", Client::new(ClientConfig::default(), [0xa7; 32])), "Client { channels: 0, .. }"),
    ];
    for (shown, expected) in shown {
        assert_eq!(shown, expected);
    }
}
