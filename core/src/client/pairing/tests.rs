//! Each row of the table of requests.

use super::*;

const LIFETIME: Duration = Duration::from_secs(60);
const NONCE: [u8; 16] = [1; 16];
const OTHERS: [u8; 16] = [2; 16];

fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

fn own() -> PeerId {
    id("MMMMMM")
}

fn asked(pairing: &mut Pairing, peer: &str) -> (RequestId, u32) {
    pairing.ask(Instant::ZERO, id(peer), NONCE, LIFETIME)
}

fn shown(pairing: &mut Pairing, peer: &str, number: u32) -> Option<RequestId> {
    pairing.prompt(Instant::ZERO, id(peer), number, OTHERS, LIFETIME, 3)
}

fn channel(opening: Opening) -> Agreed {
    match opening {
        Opening::Channel(agreed) => agreed,
        Opening::Unwanted(request) => panic!("unwanted: {request:?}"),
    }
}

fn is_unwanted(opening: &Opening, expected: Option<RequestId>) -> bool {
    matches!(opening, Opening::Unwanted(request) if request.map(|(id, _)| id) == expected)
}

#[test]
fn an_approved_request_makes_the_asker_the_connector() {
    let mut pairing = Pairing::new();
    let (request, number) = asked(&mut pairing, "AAAAAA");
    assert!(pairing.asks(id("AAAAAA")) && !pairing.asks(id("BBBBBB")));
    assert_eq!(pairing.answered(true, number, Answer::Requested), Some((request, id("AAAAAA"))));
    let agreed = channel(pairing.opened(own(), OpenedBy::Approval, number, OTHERS));
    assert_eq!((agreed.request, agreed.peer, agreed.role), (request, id("AAAAAA"), Role::Connector));
    assert_eq!((agreed.nonce_connector, agreed.nonce_acceptor), (NONCE, OTHERS));
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Approval, number, OTHERS), None), "once");
}

#[test]
fn every_other_answer_ends_the_request_and_is_told_once() {
    for answer in Answer::ALL.into_iter().filter(|answer| !answer.is_interim()) {
        let mut pairing = Pairing::new();
        let (request, number) = asked(&mut pairing, "AAAAAA");
        assert!(pairing.answered(false, number, answer).is_none(), "ENDED is about requests of others");
        assert!(pairing.answered(true, number, answer).is_some_and(|(id, _)| id == request));
        assert!(pairing.answered(true, number, answer).is_none());
        assert!(!pairing.asks(id("AAAAAA")));
    }
}

#[test]
fn what_was_withdrawn_is_not_opened_any_more() {
    let mut pairing = Pairing::new();
    let (request, number) = asked(&mut pairing, "AAAAAA");
    assert_eq!((pairing.withdraw(request), pairing.withdraw(request)), (Some(number), None));
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Approval, number, OTHERS), Some(request)));
    assert!(pairing.answered(true, number, Answer::NotConnected).is_none(), "it was over already");
    // The answer wins the race.
    let (request, number) = asked(&mut pairing, "AAAAAA");
    pairing.withdraw(request);
    assert!(pairing.answered(true, number, Answer::Declined).is_some());
    assert!(pairing.withdraw(request).is_none());
}

#[test]
fn an_accepted_request_makes_this_side_the_acceptor_and_only_if_its_user_accepted() {
    let mut pairing = Pairing::new();
    let request = shown(&mut pairing, "AAAAAA", 7).unwrap();
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Acceptance, 7, OTHERS), Some(request)));
    let request = shown(&mut pairing, "AAAAAA", 8).unwrap();
    assert_eq!((pairing.accept(request, NONCE), pairing.accept(request, NONCE)), (Some(8), None));
    assert!(pairing.cancel(request).is_none());
    // The nonce is the one shown with the request, whatever OPENED says.
    let agreed = channel(pairing.opened(own(), OpenedBy::Acceptance, 8, [9; 16]));
    assert_eq!((agreed.role, agreed.nonce_connector, agreed.nonce_acceptor), (Role::Acceptor, OTHERS, NONCE));
}

#[test]
fn own_and_others_requests_of_one_number_are_two() {
    let mut pairing = Pairing::new();
    let (own_request, number) = asked(&mut pairing, "AAAAAA");
    let other = shown(&mut pairing, "BBBBBB", number).unwrap();
    assert_eq!(pairing.withdraw(other), None);
    assert_eq!(pairing.accept(own_request, NONCE), None);
    assert_eq!(pairing.cancel(own_request), None);
    assert_eq!(pairing.answered(false, number, Answer::Left), Some((other, id("BBBBBB"))));
    assert!(pairing.asks(id("AAAAAA")));
}

#[test]
fn prompts_are_bounded_and_none_is_shown_twice() {
    let mut pairing = Pairing::new();
    let first = shown(&mut pairing, "AAAAAA", 1).unwrap();
    assert!(shown(&mut pairing, "AAAAAA", 2).is_none(), "this peer waits already");
    assert!(shown(&mut pairing, "BBBBBB", 1).is_none(), "this number is taken");
    shown(&mut pairing, "BBBBBB", 2).unwrap();
    asked(&mut pairing, "EEEEEE");
    shown(&mut pairing, "CCCCCC", 3).unwrap();
    assert!(shown(&mut pairing, "DDDDDD", 4).is_none(), "three wait");
    assert_eq!(pairing.cancel(first), Some(1));
    assert!(shown(&mut pairing, "DDDDDD", 4).is_some());
}

#[test]
fn a_relay_cannot_use_up_the_numbers_of_own_requests() {
    let mut pairing = Pairing::new();
    pairing.last_id = PROMPT_ID_MAX;
    assert!(shown(&mut pairing, "AAAAAA", 1).is_none());
    asked(&mut pairing, "AAAAAA");
}

/// Both asked: the smaller ID is the connector, and a prompt of that peer that was shown is over.
#[test]
fn crossing_requests_give_opposite_roles_and_end_the_prompt() {
    for (peer, role, connector) in [("ZZZZZZ", Role::Connector, NONCE), ("AAAAAA", Role::Acceptor, OTHERS)] {
        let mut pairing = Pairing::new();
        let bystander = shown(&mut pairing, "CCCCCC", 6).unwrap();
        let prompt = shown(&mut pairing, peer, 5).unwrap();
        let (_, number) = asked(&mut pairing, peer);
        let agreed = channel(pairing.opened(own(), OpenedBy::Crossing, number, OTHERS));
        assert_eq!((agreed.role, agreed.nonce_connector), (role, connector));
        assert_eq!(agreed.prompt, Some(prompt), "its application must hear of it");
        assert_eq!(pairing.accept(prompt, NONCE), None);
        assert_eq!(pairing.accept(bystander, NONCE), Some(6));
    }
}

#[test]
fn a_crossing_that_nobody_here_asked_for_opens_nothing() {
    let mut pairing = Pairing::new();
    let request = shown(&mut pairing, "AAAAAA", 5).unwrap();
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Crossing, 5, OTHERS), None));
    assert!(pairing.accept(request, NONCE).is_some(), "the prompt is as it was");
    let (request, number) = asked(&mut pairing, "BBBBBB");
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Acceptance, number, OTHERS), None));
    assert_eq!(pairing.withdraw(request), Some(number));
    assert!(is_unwanted(&pairing.opened(own(), OpenedBy::Crossing, number, OTHERS), Some(request)));
}

#[test]
fn a_silent_relay_does_not_keep_a_request_for_ever_and_a_lost_link_ends_them_all() {
    let mut pairing = Pairing::new();
    let (request, _) = asked(&mut pairing, "AAAAAA");
    let (at, _) = pairing.deadline().unwrap();
    assert_eq!(at, Instant::ZERO + LIFETIME + REQUEST_GRACE);
    assert!(pairing.take_overdue(Instant::ZERO + LIFETIME).is_none());
    assert_eq!(pairing.take_overdue(at), Some((request, id("AAAAAA"))));
    assert!(pairing.take_overdue(at).is_none() && pairing.deadline().is_none());

    let (a, number) = asked(&mut pairing, "AAAAAA");
    let b = shown(&mut pairing, "BBBBBB", 1).unwrap();
    assert!(number > 1, "numbers go up on one link");
    assert!(pairing.clear().map(|(id, _)| id).eq([a, b]));
    let (later, number) = asked(&mut pairing, "AAAAAA");
    assert!(later > b, "and names are never used again");
    assert_eq!(number, 1);
}
