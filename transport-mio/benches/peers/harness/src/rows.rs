//! The table: what is to be reached, and whether it is.

use std::fmt::Write;

use crate::peer::{FLOOR, HAPROXY, IROH, PHANTOM, PHANTOM_DEFAULTS, TUNGSTENITE};
use crate::results::{Results, short};
use crate::workload::{self, Plan, Workload};

/// What a figure must be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// A line of the table.
pub(crate) struct Row {
    what: String,
    goal: Goal,
    figure: Option<f64>,
}

impl Row {
    fn reached(&self) -> &'static str {
        match (self.figure, self.goal) {
            (None, _) => "not measured",
            (Some(figure), Goal::AtMost(most)) if figure <= most => "yes",
            (Some(figure), Goal::AtLeast(least)) if figure >= least => "yes",
            _ => "**no**",
        }
    }
}

/// The table as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from("| what | goal | figure | reached |\n|---|---:|---:|---|\n");
    for row in rows {
        let goal = match row.goal {
            Goal::AtMost(most) => format!("≤ {}", short(most)),
            Goal::AtLeast(least) => format!("≥ {}", short(least)),
        };
        let figure = row.figure.map_or("–".to_owned(), short);
        let _ = writeln!(table, "| {} | {goal} | {figure} | {} |", row.what, row.reached());
    }
    table
}

/// Every row, from what was measured.
pub(crate) fn rows(results: &Results, plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |what: String, goal, figure| rows.push(Row { what, goal, figure });
    let ratio = |workload: &Workload, name, peer| results.ratio(&workload.name(), name, [PHANTOM, peer]);
    for size in [32, 256, 1024] {
        let figure = ratio(&Workload::Throughput(size), "cpu_us_message", FLOOR);
        row(format!("relay CPU per message of {} ÷ floor", bytes(size)), Goal::AtMost(1.5), figure);
    }
    for (peer, most) in [(FLOOR, 1.2), (HAPROXY, 0.9)] {
        for size in [16 << 10, 64 << 10, 1 << 20] {
            let figure = ratio(&Workload::Throughput(size), "cpu_s_gib", peer);
            row(format!("relay CPU per GiB at {} ÷ {peer}", bytes(size)), Goal::AtMost(most), figure);
        }
    }
    for (size, least) in [(32, 3.0), (1024, 1.5), (16 << 10, 1.0), (64 << 10, 1.0), (1 << 20, 1.0)] {
        let figure = ratio(&Workload::Throughput(size), "messages_s", TUNGSTENITE);
        row(format!("messages/s of {} ÷ tungstenite", bytes(size)), Goal::AtLeast(least), figure);
    }
    for size in [1024, 16 << 10, 64 << 10, 1 << 20] {
        let figure = ratio(&Workload::Throughput(size), "messages_s", HAPROXY);
        row(format!("messages/s of {} ÷ haproxy", bytes(size)), Goal::AtLeast(1.0), figure);
    }
    let many = Workload::Many(workload::MANY);
    let own = |name| results.median(&many.name(), PHANTOM, name);
    row(
        "500 pairs, 256 B: messages/s ÷ haproxy".into(),
        Goal::AtLeast(0.9),
        ratio(&many, "messages_s", HAPROXY),
    );
    row("500 pairs: Jain's index".into(), Goal::AtLeast(0.99), own("jain"));
    row("500 pairs: slowest ÷ mean".into(), Goal::AtLeast(0.9), own("slowest"));
    for (name, most) in [("p50_us", 1.1), ("p99_us", 1.3)] {
        let figure = ratio(&Workload::PingPong, name, HAPROXY);
        row(format!("round trip of 64 B, {} ÷ haproxy", &name[..3]), Goal::AtMost(most), figure);
    }
    row(
        "full join: relay CPU ÷ iroh-relay".into(),
        Goal::AtMost(0.5),
        ratio(&Workload::Join, "cpu_us_pair", IROH),
    );
    let [fresh, later] = ["cpu_us_pair_fresh", "cpu_us_pair_later"]
        .map(|name| results.median(&Workload::Past.name(), PHANTOM, name));
    row(
        "full join by a relay with all past connections ÷ by a new one".into(),
        Goal::AtMost(1.05),
        fresh.zip(later).map(|(fresh, later)| later / fresh),
    );
    let crowd = |name| results.median(&Workload::Crowd.name(), PHANTOM_DEFAULTS, name);
    row("KiB per idle joined client, half of all".into(), Goal::AtMost(1.0), crowd("kib_half"));
    row("KiB per idle joined client, all".into(), Goal::AtMost(1.0), crowd("kib_all"));
    let slow = |name| results.greatest(&Workload::Slow.name(), PHANTOM, name);
    row("slow reader, 10 s: growth in MiB".into(), Goal::AtMost(1.0), slow("growth_mib"));
    row("slow reader, 10 s: lost messages".into(), Goal::AtMost(0.0), slow("lost"));
    let others = ["p99_us", "p99_alone_us"].map(|name| results.median(&Workload::Slow.name(), PHANTOM, name));
    row(
        "slow reader, 10 s: p99 of other pairs ÷ before".into(),
        Goal::AtMost(1.1),
        others[0].zip(others[1]).map(|(during, before)| during / before),
    );
    let file = |name, peer| results.ratio(&Workload::File.name(), name, [PHANTOM, peer]);
    row("file: time ÷ iroh QUIC through iroh-relay".into(), Goal::AtMost(0.35), file("seconds", IROH));
    row("file: time ÷ wormhole-rs".into(), Goal::AtMost(0.26), file("seconds", workload::WORMHOLE));
    let cpu = results.median(&Workload::File.name(), PHANTOM, "cpu_s_gib");
    row("file: CPU seconds in all, per GiB".into(), Goal::AtMost(4.0), cpu);
    let packets = results.median(&Workload::Packets.name(), PHANTOM, "packets_s");
    row("packets/s of 32 B, client to client".into(), Goal::AtLeast(3e6), packets);
    let latency = ratio(&Workload::Latency, "p50_us", HAPROXY);
    row("one 64 B packet, client to client ÷ plain through haproxy".into(), Goal::AtMost(1.5), latency);
    let messages = |pairs| results.median(&Workload::Many(pairs).name(), PHANTOM, "messages_s");
    for pairs in plan.pairs().into_iter().filter(|&pairs| pairs > workload::MANY) {
        let figure = messages(pairs).zip(messages(workload::FEW)).map(|(many, few)| many / few);
        row(format!("messages/s with {pairs} pairs ÷ with {}", workload::FEW), Goal::AtLeast(0.8), figure);
    }
    let joined = ["among_all_us", "among_few_us"]
        .map(|name| results.median(&Workload::Joined.name(), PHANTOM_DEFAULTS, name));
    row(
        "time to join among all ÷ among 10".into(),
        Goal::AtMost(1.2),
        joined[0].zip(joined[1]).map(|(all, few)| all / few),
    );
    rows
}

/// A size as it is said.
pub(crate) fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        ..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}
