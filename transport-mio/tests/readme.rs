//! The README's line for a relay on the open internet starts one.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
mod program;

use common::tls::Identity;
use program::{Running, program};

#[test]
fn the_line_for_a_relay_on_the_open_internet_starts_one() {
    let readme = include_str!("../../README.md");
    let line = readme.lines().find(|line| line.starts_with("phantom-relay --")).unwrap();
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    // That port belongs to nobody here, and neither does the default one.
    command.args(["--listen", ""]);
    for word in line.split(' ').skip(1) {
        match word {
            "0.0.0.0:443" => command.arg("127.0.0.1:0"),
            "fullchain.pem" => command.arg(&identity.files.certificate),
            "key.pem" => command.arg(&identity.files.key),
            "relay.secret" => command.arg(folder.path().join(word)),
            word => command.arg(word),
        };
    }
    let relay = Running::start(&mut command);
    identity.join(relay.address);
    assert!(folder.path().join("relay.secret").exists());
}
