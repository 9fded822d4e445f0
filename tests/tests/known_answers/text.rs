//! `PROTOCOL.md` says what the code does: its frames, its tables of numbers, its defaults, its examples.

use phantom_core::client::{ClientLimits, PACKET_MAX_UNSECURED};
use phantom_core::relay::{Rate, RelayLimits};
use phantom_core::time::Duration;
use phantom_core::wire::{Answer, CloseCode, FRAME_MAX, PAYLOAD_MAX, SUBPROTOCOL};
use serde_json::Value;

const TEXT: &str = include_str!("../../../PROTOCOL.md");
const FRAMES: &str = include_str!("../../vectors/frames.json");
const PACKETS: &str = include_str!("../../vectors/packets.json");
const SESSION: &str = include_str!("../../vectors/session.json");

/// The part under a heading, up to the next one of the same rank or a higher one.
fn section(heading: &str) -> &'static str {
    let rank = heading.split(' ').next().unwrap();
    let start = TEXT.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading}"));
    let body = &TEXT[start + heading.len() + 2..];
    let ends = (1..=rank.len()).filter_map(|n| body.find(&format!("\n{} ", "#".repeat(n))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// The cells of the rows of all tables in a part.
fn rows(part: &str) -> Vec<Vec<&str>> {
    part.lines()
        .filter_map(|line| line.trim().strip_prefix('|'))
        .map(|line| line.trim_end_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let groups = digits.as_bytes()[head..].chunks(3).map(|group| std::str::from_utf8(group).unwrap());
    let groups: Vec<_> = (head > 0).then_some(&digits[..head]).into_iter().chain(groups).collect();
    groups.join(",")
}

fn time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, ms) => format!("{ms} ms"),
        (s, 0) if s % 3600 == 0 => format!("{} h", s / 3600),
        (s, 0) if s % 60 == 0 && s > 60 => format!("{} min", s / 60),
        (s, 0) => format!("{s} s"),
        (s, ms) => format!("{s}.{ms:03} s"),
    }
}

fn rate(Rate { burst, refill }: Rate) -> String {
    format!("{burst}, then 1 in {}", exact_time(refill))
}

/// Without minutes: what is divided is best said in one unit.
fn exact_time(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, ms) => format!("{ms} ms"),
        (s, _) => format!("{s} s"),
    }
}

/// The code refers to these by name.
#[test]
fn the_sections_that_the_code_names_are_there() {
    for heading in [
        "## Frames",
        "### Frames from client to relay",
        "### Frames from relay to client",
        "## Answers",
        "## Close codes",
        "### Rejoining",
        "### Reclaiming an ID",
        "## Between clients",
        "## Key agreement",
        "## STATE",
        "## ABORT",
        "## Events",
        "## Limits and times",
    ] {
        assert!(!section(heading).trim().is_empty(), "{heading}");
    }
}

#[test]
fn links_within_the_text_lead_somewhere() {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    let anchors: Vec<_> = TEXT.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let links = TEXT.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links {
        assert!(anchors.iter().any(|anchor| anchor == link), "#{link}");
    }
}

#[test]
fn every_number_has_its_row() {
    let answers = rows(section("## Answers"));
    for answer in Answer::ALL {
        let row = answers.iter().find(|row| row[0] == answer.to_wire().to_string()).expect("a row");
        assert_eq!(row[1].trim_end_matches(" *"), format!("{answer:?}"));
    }
    let codes = rows(section("## Close codes"));
    for code in CloseCode::ALL {
        let row = codes.iter().find(|row| row[0] == code.to_wire().to_string()).expect("a row");
        assert_eq!((row[1], row[2] == "yes"), (&*format!("{code:?}"), code.may_redial()));
    }
    let fixed = section("### Fixed");
    for number in [FRAME_MAX, PAYLOAD_MAX, PACKET_MAX_UNSECURED] {
        assert!(fixed.contains(&grouped(number)), "{number}");
    }
    assert!(section("## Transport").contains(&format!("`{SUBPROTOCOL}`")));
}

/// Kind and length of each frame, and that its fields add up.
#[test]
fn every_frame_has_its_row() {
    let file: Value = serde_json::from_str(FRAMES).unwrap();
    for (list, heading) in [
        ("from_client", "### Frames from client to relay"),
        ("from_relay", "### Frames from relay to client"),
    ] {
        let table = rows(section(heading));
        for known in file[list].as_array().unwrap() {
            let (name, frame) = (known["name"].as_str().unwrap(), known["frame"].as_str().unwrap());
            let row = table.iter().find(|row| row.len() == 4 && row[1] == name).expect(name);
            assert_eq!(row[0], format!("0x{}", &frame[..2]), "{name}");
            let sizes =
                row[2].split(", ").map(|field| field.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
            assert_eq!(
                (row[3], 1 + sizes.sum::<usize>()),
                (&*(frame.len() / 2).to_string(), frame.len() / 2)
            );
        }
    }
}

#[test]
fn every_default_has_its_row() {
    let said = |heading: &str, defaults: &[(&str, String)]| {
        let table = rows(section(heading));
        for (name, value) in defaults {
            let row = table.iter().find(|row| row[0] == format!("`{name}`")).expect(name);
            assert_eq!(row[1], value, "{name}");
        }
        assert_eq!(table.len(), defaults.len() + 2, "{heading}: one row for each");
    };
    let relay = RelayLimits::default();
    said(
        "### Relay",
        &[
            ("connections_max", grouped(relay.connections_max)),
            ("channels_max", relay.channels_max.to_string()),
            ("requests_out_max", relay.requests_out_max.to_string()),
            ("requests_in_max", relay.requests_in_max.to_string()),
            ("requests_source_max", relay.requests_source_max.to_string()),
            ("connect_rate", rate(relay.connect_rate)),
            ("connect_source_rate", rate(relay.connect_source_rate)),
            ("pair_rate", rate(relay.pair_rate)),
            ("prompt_rate", rate(relay.prompt_rate)),
            ("exact_rate", rate(relay.exact_rate)),
            ("exact_total_rate", rate(relay.exact_total_rate)),
            ("sources_max", grouped(relay.sources_max)),
            ("pairs_max", grouped(relay.pairs_max)),
            ("request_lifetime", time(relay.request_lifetime)),
            ("register_timeout", time(relay.register_timeout)),
            ("idle_timeout", time(relay.idle_timeout)),
            ("stuck_timeout", time(relay.stuck_timeout)),
            ("rejoin_lifetime", time(relay.rejoin_lifetime)),
            ("retired_for", time(relay.retired_for)),
            ("retired_max", grouped(relay.retired_max)),
            ("token_lifetime", time(relay.token_lifetime)),
            ("token_renewal", time(relay.token_renewal)),
        ],
    );
    let client = ClientLimits::default();
    said(
        "### Client",
        &[
            ("channels_max", client.channels_max.to_string()),
            ("prompts_max", client.prompts_max.to_string()),
            ("packet_max_log2", client.packet_max_log2.to_string()),
            ("queue_max_bytes", grouped(client.queue_max_bytes)),
            ("unacked_max_bytes", grouped(client.unacked_max_bytes)),
            ("unacked_max_records", grouped(client.unacked_max_records)),
            ("receive_window_bytes", grouped(client.receive_window_bytes)),
            ("dial_timeout", time(client.dial_timeout)),
            ("join_timeout", time(client.join_timeout)),
            ("ping_interval", time(client.ping_interval)),
            ("redial_min", time(client.redial_min)),
            ("redial_max", time(client.redial_max)),
            ("secure_timeout", time(client.secure_timeout)),
            ("patience", time(client.patience)),
            ("patience_unsecured", time(client.patience_unsecured)),
        ],
    );
}

/// The rates of requests, where the rules are told.
#[test]
fn every_rate_has_its_row() {
    let limits = RelayLimits::default();
    let rates = [
        limits.connect_rate,
        limits.connect_source_rate,
        limits.pair_rate,
        limits.prompt_rate,
        limits.exact_rate,
        limits.exact_total_rate,
    ];
    let table: Vec<_> =
        rows(section("### Requests")).into_iter().filter(|row| row.len() == 4).skip(2).collect();
    assert_eq!(table.len(), rates.len());
    for (row, Rate { burst, refill }) in table.iter().zip(rates) {
        assert_eq!((row[2], row[3]), (&*burst.to_string(), &*exact_time(refill)), "{row:?}");
    }
}

/// How long a scanner takes for a hit, from the defaults.
#[test]
fn the_sums_in_security_are_right() {
    const SECURITY: &str = include_str!("../../../SECURITY.md");
    let (_, part) = SECURITY.split_once("\n## Guessing IDs\n").unwrap();
    let (part, _) = part.split_once("\n## ").unwrap();
    let ids = 62_f64.powi(6);
    assert!(part.contains(&format!("62^6 = {} IDs", grouped(62_usize.pow(6)))));
    let limits = RelayLimits::default();
    let per_second = |rate: Rate| 1.0 / rate.refill.as_secs_f64();
    let (source, all) = (per_second(limits.exact_rate), per_second(limits.exact_total_rate));
    let table: Vec<_> = rows(part).into_iter().filter(|row| row.len() == 5).collect();
    assert_eq!(table.len(), 2 + 3);
    assert!(table[0][2].ends_with(&format!("1 in {}", exact_time(limits.exact_rate.refill))));
    assert!(table[0][3].ends_with(&format!("{:.1} a second", 10_000.0 * source)));
    assert!(table[0][4].ends_with(&format!("{all:.0} a second")));
    for (row, online) in table[2..].iter().zip([1_000, 100_000, 1_000_000]) {
        let guesses = ids / online as f64;
        let times = [source, 10_000.0 * source, all].map(|rate| long_time(guesses / rate));
        println!("{online:>9} online: {guesses:.0} guesses; {}", times.join("; "));
        assert_eq!(row[..2], [grouped(online), grouped(guesses.round() as usize)]);
        assert_eq!(row[2..], times);
    }
    let found = long_time(ids / 1_000.0 / (10_000.0 * per_second(limits.connect_source_rate)));
    assert!(part.contains(&format!("a hit in {found}")), "{found}");
}

/// In the largest unit of which there is one, to three figures or one decimal place.
fn long_time(seconds: f64) -> String {
    let units = [("years", 365.25 * 86_400.0), ("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)];
    let (name, unit) = units.into_iter().find(|(_, unit)| seconds >= *unit).unwrap();
    let value = seconds / unit;
    if value >= 100.0 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

/// The session in hex is that of `session.json`, message by message in its order; so are its keys and the examples of packets.
#[test]
fn every_example_is_a_known_answer() {
    let bare = |part: &str| part.split_whitespace().collect::<String>();
    let session: Value = serde_json::from_str(SESSION).unwrap();
    let text = bare(section("## A session in hex"));
    let mut rest = text.as_str();
    for message in session["messages"].as_array().unwrap() {
        if message["name"] == "FORWARD" && message["from"] == "relay" {
            continue;
        }
        let frame = message["frame"].as_str().unwrap();
        rest = rest.split_once(frame).unwrap_or_else(|| panic!("{message}")).1;
    }
    for name in ["prs", "ci", "sid", "isk", "sid_output", "root", "rendezvous", "verifier"] {
        assert!(text.contains(session["keys"][name].as_str().unwrap()), "{name}");
    }
    for name in ["data_c2a", "data_a2c", "ctrl_c2a", "ctrl_a2c"] {
        for part in ["chain", "key", "iv"] {
            assert!(text.contains(session["keys"][name][part].as_str().unwrap()), "{name}, {part}");
        }
    }
    let packets: Value = serde_json::from_str(PACKETS).unwrap();
    let known: Vec<_> = packets["packets"].as_array().unwrap().iter().map(|p| &p["packet"]).collect();
    let examples = section("## Packets").split_once("### Examples").unwrap().1;
    // A line of bytes alone, or of bytes, a gap, and words.
    let lines = examples
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.split("  ").next().unwrap());
    let is_hex = |line: &&str| {
        line.split(' ').all(|byte| byte.len() == 2 && byte.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let lines: Vec<_> = lines.filter(is_hex).map(bare).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in lines {
        assert!(known.iter().any(|packet| **packet == *line), "{line}");
    }
}
