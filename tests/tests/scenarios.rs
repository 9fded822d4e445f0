//! One test per file in `scenarios/`; `phantom_tests::scenario` describes the language.

use std::collections::BTreeSet;
use std::path::Path;

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                let text = include_str!(concat!("../scenarios/", stringify!($name), ".txt"));
                if let Err(error) = phantom_tests::scenario::run(text) {
                    panic!("scenarios/{}.txt, {error}", stringify!($name));
                }
            }
        )+

        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

scenarios! {
    abort
    accept_this_request
    busy
    busy_meanwhile
    crossing
    crossing_after_prompt
    cut_acceptor
    cut_connector
    dead_peer_noticed
    dead_relay_noticed
    decline
    disconnect_before_secured
    disconnect_with_full_queue
    expire
    happy_path
    id_lost
    key_after
    key_after_failure
    key_before
    key_refused_on_secured
    leave_and_return
    lost_unnoticed_by_relay
    never_secured
    no_patience
    nobody
    own_channel_key
    own_id
    peer_vanishes
    queue_before_secured
    queue_is_bounded
    reconnect_while_asked
    rejoin_late
    relay_drain
    relay_restart
    request_open
    several_channels
    stall_and_back
    target_cut
    target_leaves
    unread_random_key
    withdraw
    withdraw_meets_accept
}

#[test]
fn every_file_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, NAMES.iter().map(|&name| name.to_owned()).collect());
}
