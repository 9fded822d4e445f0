//! The operator's page, the example file, the dashboard and the alerts leave nothing out.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use phantom_mio::METRICS;

const PAGE: &str = include_str!("../deploy/README.md");
const ALERTS: &str = include_str!("../deploy/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../deploy/grafana-dashboard.json");
const EXAMPLE: &str = include_str!("../deploy/phantom-relay.toml");

fn said_by(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_phantom-relay")).env_clear().args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// All keys, as the program itself lists them.
fn keys() -> Vec<String> {
    let printed = said_by(&["--print-config"]);
    let lines =
        printed.lines().filter(|line| !line.starts_with("# ")).filter_map(|line| line.split_once(" = "));
    lines.map(|(key, _)| key.trim_start_matches('#').to_owned()).collect()
}

/// The sources of all tests of this package, but for this one.
fn tests() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    for place in [folder.clone(), folder.join("common")] {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("operator_page.rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Whether the word stands there by itself, and not as a part of a longer one.
fn names(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[test]
fn every_setting_is_in_a_test_and_in_the_example_file() {
    let tests = tests();
    let keys = keys();
    assert!(keys.len() > 50);
    for key in keys {
        assert!(names(&tests, &key), "{key} is in no test");
        assert!(EXAMPLE.contains(&format!("\n#{key} = ")), "{key} is not in the example file");
    }
}

#[test]
fn every_metric_is_in_a_test_and_on_the_dashboard_or_the_page() {
    let tests = tests();
    for metric in METRICS {
        let name = metric.name();
        let short = name.strip_prefix("phantom_relay_").unwrap();
        let ends = ["", "_count", "_bucket"];
        assert!(ends.iter().any(|end| names(&tests, &format!("{short}{end}"))), "{name} is in no test");
        assert!(
            ends.iter().any(|end| names(DASHBOARD, &format!("{name}{end}"))) || names(PAGE, &name),
            "{name} is neither on the dashboard nor on the page"
        );
    }
}

#[test]
fn every_alert_and_every_exit_status_is_explained() {
    let alerts: Vec<_> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        assert!(names(PAGE, alert), "{alert} is not on the page");
    }
    let help = said_by(&["--help"]);
    let statuses = help.split_once("Exit status:").unwrap().1.lines().map_while(|line| {
        let number = line.trim().split([' ', ',']).next()?;
        (line.is_empty() || number.parse::<u8>().is_ok()).then_some(number)
    });
    let statuses: Vec<_> = statuses.filter(|number| !number.is_empty()).collect();
    assert!(statuses.len() >= 8, "{statuses:?}");
    for status in statuses {
        assert!(PAGE.contains(&format!("| {status}")), "exit status {status} is not on the page");
    }
}

/// What the page tells an operator to look for is what the program says.
#[test]
fn every_setting_and_log_line_of_the_page_exists() {
    let keys = keys();
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for line in PAGE.lines().filter_map(|line| line.strip_prefix("| “")) {
        let said = line.split('”').next().unwrap();
        assert!(sources.contains(said), "the program never says: {said}");
    }
    for word in PAGE.split('`').skip(1).step_by(2).filter(|word| word.contains('_') && word.is_ascii()) {
        let word = word.split([' ', '=']).next().unwrap();
        let is_key = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_key && !word.starts_with("phantom_") {
            let known = keys.iter().any(|key| key == word) || sources.contains(&format!("\"{word}\""));
            assert!(known, "the page names {word}, which is neither a setting nor a label of a metric");
        }
    }
}

fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}
