//! Under which conditions was measured: what belongs beside every figure.

use std::fs;
use std::process::Command;

use crate::workload::Plan;

/// One paragraph of Markdown.
pub(crate) fn conditions(plan: &Plan, quick: bool) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name| cpuinfo.lines().find_map(|line| line.strip_prefix(name)?.split_once(": "));
    let processor = value("model name").map_or("an unknown processor", |(_, model)| model);
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let trial = if quick { "**A trial: these figures mean nothing.** " } else { "" };
    format!(
        "{trial}Measured on {} at commit {}: {count} × {processor}, Linux {}, {}, {}, tokio-tungstenite 0.30, iroh-relay 1.4.1, \
         wormhole-rs 0.8.1. Medians of {} repetitions, {} clients at most, {} past connections, a file of {} MiB.\n",
        said("date", &["-u", "+%F"]),
        said("git", &["describe", "--always", "--dirty"]),
        kernel.trim(),
        said("rustc", &["--version"]),
        said("haproxy", &["-v"]),
        plan.repetitions,
        plan.clients,
        2 * plan.past,
        plan.file,
    )
}

/// The first line that a program prints.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
