//! Attacks a relay over loopback, in every way at hand and then in all of them at once, while two honest pairs measure what they have.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin attack
//! cargo run --release -p phantom-tests --bin attack -- --seconds 8 --memory-mib 128 --only slow-reader,partial-frames
//! ```
//!
//! It runs `phantom-relay` with its defaults and a small memory budget, on one processor if `taskset` is there. The attackers are child
//! processes at the lowest priority, so that they starve the relay and not those who measure. In the end it says of each attack
//! whether these hold, and fails if one does not:
//!
//! * the honest pairs keep at least 80 % of the throughput they had alone, and their median delay grows to no more than 1 / 80 % of what
//!   it was and a scheduler's turn of 1 ms;
//! * none of them is disconnected, and nobody of the crowd that has joined and only says that it is there (`--crowd`, 10,000 by default);
//! * the relay's memory stays within its budget and 1 % of it;
//! * afterwards they have at least 80 % again, and within 15 s the memory is within 10 % of what it was before. The part of it that is the
//!   process's own is printed beside it, and what the relay itself counts: who asked what, and which IDs were given up, is remembered
//!   for ten minutes, in tables that are bounded.
//!
//! What falls short in throughput or delay alone is tried again, twice at most: a machine that is shared takes its processors away now
//! and then, and no weakness of the relay goes away by that. A try during which its host gave 2 % or more of its time to others does not
//! count as one, up to six times. Every try is printed. What is disconnected, and memory, count each time.
//!
//! Before anything is measured, the relay is visited once in every honest way: what it needs once, such as the pages of its program, is
//! no attacker's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use phantom_core::id::PeerId;
use phantom_tests::attackers::{self, ATTACKS, Ground};
use phantom_tests::crowd::{Bystanders, Crowd};
use phantom_tests::honest::{Honest, Measured};
use phantom_tests::identity::{Files, Identity};
use phantom_tests::program::{
    Programs, Result, Running, STEP_MAX, Usage, find, free_address, metrics, stolen,
};
use phantom_tests::visits;

/// What the honest must keep.
const KEPT_MIN: f64 = 0.8;
/// A turn of the scheduler, which is no fault of the relay.
const TURN: Duration = Duration::from_millis(1);
const OVER_BUDGET: f64 = 1.01;
const AFTERWARDS: f64 = 1.1;
/// How long memory may take to come back.
const RECOVERY_MAX: Duration = Duration::from_secs(15);
/// How often what falls short is tried in all.
const TRIES: usize = 3;
/// From this share of the machine's time on, taken by its host, a try does not count.
const STOLEN: f64 = 0.02;
/// How many tries may not count.
const UNCOUNTED_MAX: usize = 6;
/// Attackers settle before anything is measured.
const SETTLE: Duration = Duration::from_millis(500);
const MIB: f64 = 1_048_576.0;

struct Plan {
    seconds: u64,
    memory: u64,
    bulk: u64,
    crowd: usize,
    only: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let result = match words.split_first() {
        Some((first, rest)) if first == "--as" => attack(rest).map(|()| true),
        _ => plan(&words).and_then(|plan| run(&plan)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(words: &[String]) -> Result<Plan> {
    let mut plan = Plan { seconds: 4, memory: 64 << 20, bulk: 30 << 20, crowd: 10_000, only: Vec::new() };
    for pair in words.chunks(2) {
        let [word, value] = pair else { return Err(format!("{} needs a value", pair[0]).into()) };
        match word.as_str() {
            "--seconds" => plan.seconds = value.parse::<u64>()?.max(1),
            "--memory-mib" => plan.memory = value.parse::<u64>()? << 20,
            "--bulk-mib" => plan.bulk = value.parse::<u64>()?.max(1) << 20,
            "--crowd" => plan.crowd = value.parse()?,
            "--only" => plan.only = value.split(',').map(str::to_owned).collect(),
            _ => {
                return Err(format!(
                    "{word} is unknown; there are --seconds, --memory-mib, --bulk-mib, --crowd and --only"
                )
                .into());
            }
        }
    }
    match plan.only.iter().find(|name| !ATTACKS.iter().any(|(known, _)| known == name)) {
        Some(unknown) => {
            Err(format!("{unknown} is no attack; there are {}", ATTACKS.map(|(name, _)| name).join(", "))
                .into())
        }
        None => Ok(plan),
    }
}

/// The child's part: one attack.
fn attack(words: &[String]) -> Result<()> {
    let [name, to, seconds, victims @ ..] = words else {
        return Err("--as is for this program itself".into());
    };
    phantom_mio::raise_file_limit()?;
    let victims: Vec<PeerId> = victims.iter().filter_map(|id| id.parse().ok()).collect();
    let mut ground = Ground::new(to.parse()?, Duration::from_secs_f64(seconds.parse()?), victims);
    let opened = attackers::run(name, &mut ground).ok_or("there is no such attack")?;
    println!("{opened}");
    Ok(())
}

/// The relay, those who measure, and what they had alone.
struct Scene {
    relay: Running,
    at: SocketAddr,
    secure: SocketAddr,
    view: SocketAddr,
    honest: Honest,
    alone: Measured,
    budget: u64,
    /// What the relay itself counted before.
    counted: f64,
    /// The most memory there was under any attack.
    peak: u64,
    failed: Vec<String>,
}

fn run(plan: &Plan) -> Result<bool> {
    let begun = Instant::now();
    phantom_mio::raise_file_limit()?;
    let programs = Programs::build_relay()?;
    let at = free_address()?;
    let [secure, view] = [free_address()?, free_address()?];
    let folder = tempfile::tempdir()?;
    let files = Files::of(folder.path());
    let identity = Identity::make()?;
    files.install(&identity)?;
    let mut arguments = files.arguments().to_vec();
    for (name, value) in [
        ("--listen-tls", secure.to_string()),
        ("--metrics-listen", view.to_string()),
        ("--memory", plan.memory.to_string()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    let relay = programs.relay(at, &arguments, true)?;
    let mut crowd = Crowd::new(at)?;
    crowd.grow(plan.crowd)?;
    let crowd = crowd.stand_by();
    visits::all(at, secure, &identity).map_err(|error| format!("an honest visit fails: {error}"))?;
    metrics(view)?;
    let honest = Honest::start(at, plan.bulk)?;
    let time = Duration::from_secs(plan.seconds);
    let _warm = honest.measure(SETTLE);
    let alone = honest.measure(time);
    let before = relay.usage()?;
    let counted = metrics(view)?.get("memory_used_bytes").copied().unwrap_or_default();
    let mut scene = Scene {
        relay,
        at,
        secure,
        view,
        honest,
        alone,
        budget: plan.memory,
        counted,
        peak: 0,
        failed: Vec::new(),
    };
    println!(
        "Two honest pairs, {:.0} MiB of bulk a second in 16 KiB messages and 64 bytes every 4 ms; {} bystanders; budget {:.0} MiB; \
         {} s each.\n",
        plan.bulk as f64 / MIB,
        plan.crowd,
        plan.memory as f64 / MIB,
        plan.seconds
    );
    println!(
        "{:<16} {:>8} {:>6} {:>9} {:>9} {:>9} {:>9} {:>5} {:>8} {:>6}",
        "attack", "MiB/s", "kept", "p50 ms", "p99 ms", "MiB now", "MiB peak", "CPU", "opened", "lost"
    );
    scene.row("alone", &alone, &before, 0.0, None);
    let chosen: Vec<&str> = ATTACKS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| plan.only.is_empty() || plan.only.iter().any(|only| only == name))
        .collect();
    for name in &chosen {
        scene.stand(name, &[name], time)?;
    }
    if chosen.len() > 1 {
        scene.stand("all at once", &chosen, time * 2)?;
    }
    scene.afterwards(before, time)?;
    scene.dismiss(crowd);
    println!("\n{} s.", begun.elapsed().as_secs());
    if scene.failed.is_empty() {
        println!("Every criterion is met.");
    } else {
        println!("Not met:");
        scene.failed.iter().for_each(|failure| println!("  {failure}"));
    }
    Ok(scene.failed.is_empty())
}

impl Scene {
    /// Measures under these attacks, again if the honest fell short.
    fn stand(&mut self, what: &str, names: &[&str], time: Duration) -> Result<()> {
        self.tried(|scene| scene.stand_once(what, names, time))
    }

    /// Tries until nothing falls short, or as often as may be.
    fn tried(&mut self, mut once: impl FnMut(&mut Self) -> Result<Vec<String>>) -> Result<()> {
        let (mut counted, mut uncounted) = (0, 0);
        loop {
            let (all, taken) = stolen()?;
            let mut short = once(self)?;
            let (all_now, taken_now) = stolen()?;
            let share = (taken_now - taken) as f64 / (all_now - all).max(1) as f64;
            if short.is_empty() {
                return Ok(());
            }
            if share >= STOLEN && uncounted < UNCOUNTED_MAX {
                uncounted += 1;
                println!("{:16} the host took {:.0} % of the time: not counted", "", share * 100.0);
                continue;
            }
            counted += 1;
            if counted == TRIES {
                self.failed.append(&mut short);
                return Ok(());
            }
        }
    }

    /// Measures under these attacks; in what the honest fell short.
    fn stand_once(&mut self, what: &str, names: &[&str], time: Duration) -> Result<Vec<String>> {
        let before = metrics(self.view)?;
        self.relay.forget_peak()?;
        let busy = self.relay.usage()?.busy;
        let begun = Instant::now();
        let mut attackers = Vec::new();
        for name in names {
            attackers.push(self.attacker(name, SETTLE + time)?);
        }
        let _settling = self.honest.measure(SETTLE);
        let had = self.honest.measure(time);
        let mut opened = 0;
        for attacker in &mut attackers {
            let output = attacker.0.stdout.take().ok_or("an attacker has no output")?;
            if !attacker.wait(STEP_MAX)? {
                return Err(format!("an attacker of {what} failed").into());
            }
            opened += std::io::read_to_string(output)?.trim().parse::<u64>()?;
        }
        let usage =
            self.relay.usage().map_err(|error| format!("the relay did not live through {what}: {error}"))?;
        let share = (usage.busy.saturating_sub(busy)).as_secs_f64() / begun.elapsed().as_secs_f64();
        self.row(what, &had, &usage, share, Some(opened));
        println!("{:16} {}", "", ended(&before, &metrics(self.view)?));
        let short = self.judge(what, &had);
        self.peak = self.peak.max(usage.peak);
        self.check(usage.peak as f64 <= self.budget as f64 * OVER_BUDGET, || {
            format!("{what}: the memory reached {:.1} MiB", usage.peak as f64 / MIB)
        });
        Ok(short)
    }

    fn attacker(&self, name: &str, time: Duration) -> Result<Running> {
        let program = env::current_exe()?;
        let mut command = match find("nice") {
            Some(nice) => {
                let mut command = Command::new(nice);
                command.args(["-n", "19"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let to = if name == "tls-garbage" { self.secure } else { self.at };
        command.args(["--as", name, &to.to_string(), &time.as_secs_f64().to_string()]);
        command.args(self.honest.ids.iter().map(PeerId::to_string));
        Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// In what the honest fell short of what they had alone. That none of them was disconnected is checked at once.
    fn judge(&mut self, what: &str, had: &Measured) -> Vec<String> {
        let alone = self.alone;
        let mut short = Vec::new();
        let kept = had.bytes_per_second / alone.bytes_per_second;
        if kept < KEPT_MIN {
            short.push(format!("{what}: {:.0} % of the throughput were kept", kept * 100.0));
        }
        let allowed = alone.median.div_f64(KEPT_MIN) + TURN;
        if had.median > allowed {
            let [median, allowed] = [had.median, allowed].map(millis);
            short.push(format!("{what}: the median delay is {median:.2} ms; {allowed:.2} ms are allowed"));
        }
        self.check(had.lost == 0, || format!("{what}: {} honest ends were disconnected so far", had.lost));
        short
    }

    /// What the honest have once all is over, and whether the memory is back.
    fn afterwards(&mut self, before: Usage, time: Duration) -> Result<()> {
        let begun = Instant::now();
        let (mut resident, mut own) = (Recovery::of(before.resident), Recovery::of(before.own));
        // What the honest have waiting at this very moment comes and goes: it is back when it has been so low once.
        while !resident.is_back() && begun.elapsed() < RECOVERY_MAX {
            thread::sleep(Duration::from_millis(100));
            let now = self.relay.usage()?;
            (resident.least, own.least) = (resident.least.min(now.resident), own.least.min(now.own));
        }
        let waited = begun.elapsed();
        self.relay.forget_peak()?;
        self.tried(|scene| {
            let had = scene.honest.measure(time);
            let usage = scene.relay.usage()?;
            scene.row("afterwards", &had, &usage, 0.0, None);
            Ok(scene.judge("afterwards", &had))
        })?;
        println!("\nAfter {:.1} s, MiB:", waited.as_secs_f64());
        for (what, part) in [("resident", resident), ("of its own", own)] {
            let Recovery { before, least } = part;
            let [before, least] = [before, least].map(|bytes| bytes as f64 / MIB);
            println!(
                "  {what:<11} before {before:>6.2}  after {least:>6.2}  {:>+5.1} %",
                100.0 * (least / before - 1.0)
            );
        }
        self.check(resident.is_back(), || {
            let Recovery { before, least } = resident;
            format!("afterwards: {:.2} MiB; before there were {:.2}", least as f64 / MIB, before as f64 / MIB)
        });
        let tables = metrics(self.view)?.get("memory_used_bytes").copied().unwrap_or_default();
        println!("  {:<11} before {:>6.2}  after {:>6.2}", "by itself", self.counted / MIB, tables / MIB);
        println!(
            "  {:<11} at most {:>5.2}  budget {:>5.0}",
            "peak",
            self.peak as f64 / MIB,
            self.budget as f64 / MIB
        );
        Ok(())
    }

    fn dismiss(&mut self, crowd: Bystanders) {
        if let Err(error) = crowd.leave() {
            self.failed.push(format!("of the bystanders, {error}"));
        }
    }

    fn row(&self, what: &str, had: &Measured, usage: &Usage, share: f64, opened: Option<u64>) {
        println!(
            "{what:<16} {:>8.1} {:>5.0}% {:>9.2} {:>9.2} {:>9.1} {:>9.1} {:>4.0}% {:>8} {:>6}",
            had.bytes_per_second / MIB,
            100.0 * had.bytes_per_second / self.alone.bytes_per_second,
            millis(had.median),
            millis(had.p99),
            usage.resident as f64 / MIB,
            usage.peak as f64 / MIB,
            share * 100.0,
            opened.map_or_else(|| "-".to_owned(), |opened| opened.to_string()),
            had.lost
        );
    }

    fn check(&mut self, holds: bool, failure: impl FnOnce() -> String) {
        if !holds {
            self.failed.push(failure());
        }
    }
}

/// Memory before, and the least there was since.
#[derive(Clone, Copy)]
struct Recovery {
    before: u64,
    least: u64,
}

impl Recovery {
    const fn of(before: u64) -> Self {
        Self { before, least: u64::MAX }
    }

    fn is_back(self) -> bool {
        self.least as f64 <= self.before as f64 * AFTERWARDS
    }
}

/// Why the relay ended connections meanwhile, and how many each time.
fn ended(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> String {
    const WHY: [(&str, &str); 5] = [
        ("connections_refused_total{", "refused"),
        ("connections_shed_total", "shed"),
        ("handshake_failures_total{", "handshake"),
        ("clients_closed_total{", "closed"),
        ("clients_left_total{", "left"),
    ];
    let mut all = Vec::new();
    for (name, value) in after {
        let grown = value - before.get(name).unwrap_or(&0.0);
        let why = WHY.iter().find_map(|(start, why)| Some((why, name.strip_prefix(start)?)));
        if let Some((why, label)) = why.filter(|_| grown > 0.0) {
            let label = label.split('"').nth(1).unwrap_or_default();
            all.push(format!("{why} {label}: {grown}"));
        }
    }
    all.join(", ")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
