//! The dashboard and the alerts ask only for metrics that exist.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

use phantom_mio::{METRICS, MetricKind};

const DASHBOARD: &str = include_str!("../deploy/grafana-dashboard.json");
const ALERTS: &str = include_str!("../deploy/prometheus-alerts.yml");

/// Every name of a sample that a scrape may have.
fn samples() -> BTreeSet<String> {
    let of = |kind| if kind == MetricKind::Histogram { &["_bucket", "_sum", "_count"][..] } else { &[""] };
    METRICS.iter().flat_map(|m| of(m.kind()).iter().map(|end| m.name() + end)).collect()
}

/// The names of this relay's metrics in an expression.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("phantom_relay_"))
}

#[test]
fn every_query_of_the_dashboard_names_metrics_that_exist_and_every_metric_is_shown() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(named(expression).next().is_some(), "{expression}");
            for name in named(expression) {
                assert!(samples().contains(name), "{name} in {expression}");
                shown.insert(name.trim_end_matches("_bucket").to_owned());
            }
        }
    }
    let all: BTreeSet<_> = METRICS.iter().map(|metric| metric.name()).collect();
    let hidden: Vec<_> = all.difference(&shown).collect();
    assert_eq!(hidden, ["phantom_relay_start_time_seconds"]);
}

#[test]
fn every_alert_names_metrics_that_exist() {
    assert!(named(ALERTS).count() > 8);
    for name in named(ALERTS) {
        assert!(samples().contains(name), "{name}");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus-alerts.yml");
    // Prometheus' own checker, where it is installed.
    if let Ok(output) = Command::new("promtool").args(["check", "rules", file]).output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
