use std::io::Write;
use std::os::unix::net::UnixStream;

use phantom_core::relay::{RelayConfig, RelaySecret};
use phantom_core::websocket::{header_len, write_header};

use super::*;

const PAYLOAD: usize = 16 * 1024;
const FRAME: usize = PAYLOAD + 4;
/// What has come of the first frame.
const BEGUN: usize = 100;

fn board() -> Switchboard {
    let relay = Relay::new(RelayConfig::new(RelaySecret::new(0, [1; 32]), 0), [2; 32]);
    Switchboard::new(relay, ServerLimits::default(), ClientAddresses::default(), Access::default())
}

/// A connection, and its client's end.
fn admit(board: &mut Switchboard) -> (Key, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let socket = Socket::Unix(mio::net::UnixStream::from_std(far));
    (board.admit(Instant::ZERO, socket, None, None).unwrap(), near)
}

/// How much is read on when a frame of such a payload has begun and four more wait, into a buffer of 64 KiB.
fn read_on(board: &mut Switchboard, payload: usize) -> usize {
    let (key, mut client) = admit(board);
    let mut input = vec![0; 64 * 1024];
    assert_eq!(write_header(&mut input, opcode::BINARY, payload), Some(header_len(payload)));
    client.write_all(&vec![0; header_len(payload) + payload - BEGUN]).unwrap();
    client.write_all(&vec![0; 4 * FRAME]).unwrap();
    board.read_on(key, &mut input, 0..BEGUN)
}

#[test]
fn a_long_frame_is_read_to_its_end_and_more_with_it_while_nobody_waits() {
    let mut board = board();
    // Three frames and no fourth find room.
    assert_eq!(read_on(&mut board, PAYLOAD), 3 * FRAME - BEGUN);

    let (waiting, _client) = admit(&mut board);
    let conn = board.conns.get_mut(waiting).unwrap();
    queue(&mut board.addresses, waiting, conn);
    assert!(board.is_busy());
    assert_eq!(read_on(&mut board, PAYLOAD), FRAME - BEGUN, "somebody waits");
}

#[test]
fn only_the_rest_is_read_when_not_all_that_may_wait_has_room() {
    let mut board = board();
    board.budget.charge(0, board.budget.limit() - board.budget.used() - board.limits.outbox_bytes_max);
    assert_eq!(read_on(&mut board, PAYLOAD), FRAME - BEGUN);
}

#[test]
fn a_short_frame_and_one_without_room_wait() {
    let mut board = board();
    assert_eq!(read_on(&mut board, LONG_FRAME - 5), 0);
    assert_eq!(read_on(&mut board, 64 * 1024), 0);
}

#[test]
fn whoever_has_come_lately_is_in_the_budget() {
    let mut board = board();
    board.weigh_tables();
    let before = board.budget.used();
    for host in 0..100 {
        assert!(board.examine(Instant::ZERO, Some([192, 0, 2, host].into())).is_ok());
    }
    board.weigh_tables();
    assert_eq!(board.budget.used(), before + board.visits.memory());
    assert!(board.visits.memory() > 0);
}
