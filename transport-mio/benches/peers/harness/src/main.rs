//! Measures the Phantom relay and its peers, one after the other and again from the beginning, and prints what came of it as Markdown.
//!
//! The rules: every relay runs on one processor and its load on another; each measurement has a relay that was just started; a
//! measurement that others disturbed is repeated; ratios are those of medians of one run. All of it is loopback.

mod conditions;
mod dialect;
mod file;
mod load;
mod peer;
mod results;
mod rows;
mod system;
mod workload;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use clap::Parser;

use crate::dialect::Phantom;
use crate::load::{Bench, Figures};
use crate::peer::{HAPROXY, Peer, Places};
use crate::results::{Results, median};
use crate::system::{Cores, Ticks};
use crate::workload::{Plan, Workload};

/// Measure the Phantom relay and its peers in one interleaved run
#[derive(Parser)]
struct Arguments {
    /// Little of everything, to see that it works; the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Only these: throughput, roundtrip, many, join, past, crowd, joined, slow, file, packets, latency
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often everything is measured
    #[arg(long)]
    repetitions: Option<usize>,
    /// The processor of the relay
    #[arg(long, default_value_t = 0)]
    relay_core: usize,
    /// The processor of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Where phantom-relay and phantom are
    #[arg(long)]
    ours: PathBuf,
    /// The program that measures packets between clients
    #[arg(long)]
    packets: PathBuf,
    /// Where iroh-relay and wormhole-rs were installed
    #[arg(long)]
    tools: PathBuf,
    /// Write the table between the markers of this file
    #[arg(long)]
    into: Option<PathBuf>,
}

/// Between these the table stands.
const MARKERS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->"];
/// A measurement is repeated if others took more than this share of a core meanwhile.
const DISTURBED: f64 = 0.03;
const TRIES: usize = 3;
/// In front of a proxy and behind it, for the program of the clients.
const PLAIN: [u16; 2] = [7103, 7903];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if system::cores()? < 2 {
        return Err("two processors are needed: one for the relay and one for the load".into());
    }
    let files = system::raise_file_limit();
    let mut plan = if arguments.quick { Plan::quick() } else { Plan::full(files) };
    plan.repetitions = arguments.repetitions.unwrap_or(plan.repetitions);
    let own = env::current_exe()?;
    let own = own.parent().ok_or("no folder")?.to_owned();
    let scratch = own.join("scratch");
    fs::create_dir_all(&scratch)?;
    let places = Places { ours: arguments.ours.clone(), own, tools: arguments.tools.clone(), scratch };
    system::run_on(Cores::One(arguments.load_core))?;
    system::raise_priority();
    let results = Results::new(arguments.quick);
    let mut run = Run { arguments, plan, places, results, numbers: 1.., waited: Duration::ZERO };
    run.everything();
    let table = rows::table(&rows::rows(&run.results, &run.plan));
    let conditions = conditions::conditions(&run.plan, run.arguments.quick);
    let all = format!(
        "{conditions}\n{table}\n<details><summary>Every number</summary>\n\n{}\n</details>\n",
        run.results.table()
    );
    println!("{all}");
    if run.results.disturbed > 0 {
        println!(
            "{} measurements were left out: others took a tenth of a core or more.",
            run.results.disturbed
        );
    }
    if let Some(path) = &run.arguments.into {
        write_into(path, &all)?;
    }
    Ok(())
}

fn write_into(path: &PathBuf, table: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let (before, rest) = text.split_once(MARKERS[0]).ok_or("the file has no marker for the table")?;
    let (_, after) = rest.split_once(MARKERS[1]).ok_or("the file has no marker for the table's end")?;
    Ok(fs::write(path, format!("{before}{}\n{table}\n{}{after}", MARKERS[0], MARKERS[1]))?)
}

struct Run {
    arguments: Arguments,
    plan: Plan,
    places: Places,
    results: Results,
    /// Of pairs: none has the number of another.
    numbers: std::ops::RangeFrom<u64>,
    /// How long was waited for a quiet machine.
    waited: Duration,
}

impl Run {
    fn everything(&mut self) {
        let only = &self.arguments.only;
        let wanted = |workload: &Workload| only.is_empty() || only.iter().any(|word| word == workload.word());
        for workload in self.plan.workloads().into_iter().filter(wanted).collect::<Vec<_>>() {
            for repetition in 1..=self.plan.repetitions_of(workload) {
                for &peer in workload.peers() {
                    let name = workload.name();
                    match self.measure(workload, peer) {
                        Ok(figures) => {
                            eprintln!("{name}, {peer}, {repetition}: {}", line(&figures));
                            self.results.add(&name, peer, &figures);
                        }
                        Err(error) => eprintln!("{name}, {peer}, {repetition}: failed: {error}"),
                    }
                }
            }
        }
    }

    /// Until nobody has disturbed it, or three times: then the one that was disturbed least.
    fn measure(&mut self, workload: Workload, peer: &'static str) -> io::Result<Figures> {
        let mut best: Option<(f64, Figures)> = None;
        for _ in 0..TRIES {
            self.wait_for_quiet();
            let (begun, waited) = (Instant::now(), system::waited());
            let mut figures = self.once(workload, peer)?;
            let share = (system::waited() - waited).as_secs_f64() / begun.elapsed().as_secs_f64();
            let stolen = figures.iter().find(|(name, _)| *name == "stolen").map_or(0.0, |(_, share)| *share);
            // While this thread only waits for others, nobody takes anything from it.
            let share = if matches!(workload, Workload::Join | Workload::Past) { 0.0 } else { share };
            figures.push(("waited", share));
            let disturbed = share.max(stolen);
            if best.as_ref().is_none_or(|(least, _)| disturbed < *least) {
                best = Some((disturbed, figures));
            }
            if disturbed < DISTURBED || self.plan.patience.is_zero() {
                break;
            }
        }
        best.map(|(_, figures)| figures).ok_or(io::ErrorKind::Other.into())
    }

    fn once(&mut self, workload: Workload, name: &'static str) -> io::Result<Figures> {
        if workload == Workload::File {
            let figures = file::file(name, &self.places, self.plan.file);
            system::run_on(Cores::One(self.arguments.load_core))?;
            return figures;
        }
        let Arguments { relay_core, load_core, .. } = self.arguments;
        if workload == Workload::Latency && name == HAPROXY {
            return self.plain_latency();
        }
        let mut peer = Peer::new(name, &self.places)?;
        let cores = if workload == Workload::Packets { Cores::All } else { Cores::One(relay_core) };
        let running = peer.start(cores, &self.places)?;
        let bench = Bench { relay: running.id(), relay_core, load_core };
        let (dialect, time) = (&*peer.dialect, self.plan.time);
        let phantom = Phantom { port: peer.port };
        let url = format!("ws://127.0.0.1:{}", peer.port);
        match workload {
            Workload::Throughput(size) => load::throughput(dialect, bench, self.number(), size, time),
            Workload::PingPong => load::pingpong(dialect, self.number(), 2 * time),
            Workload::Many(pairs) => load::many(dialect, bench, &mut self.numbers, pairs, 2 * time),
            Workload::Join => load::join(dialect, bench, &mut self.numbers, 2 * time),
            Workload::Past => self.past(name, dialect, bench),
            Workload::Crowd => load::crowd(&phantom, bench, self.plan.clients),
            Workload::Joined => {
                let mut other = Peer::another(name, &self.places)?;
                let other_running = other.start(cores, &self.places)?;
                let crowded = Phantom { port: other.port };
                let other_bench = Bench { relay: other_running.id(), ..bench };
                load::joined([(&phantom, bench), (&crowded, other_bench)], self.plan.clients)
            }
            Workload::Slow => load::slow(dialect, bench, &mut self.numbers, self.plan.slow),
            Workload::Packets => {
                system::run_on(Cores::All)?;
                let before = system::busy(bench.relay) + system::busy_of_ended_children();
                let mut figures = self.program(&["packets", &url])?;
                let busy = system::busy(bench.relay) + system::busy_of_ended_children() - before;
                figures.push(("cpu_s", busy.as_secs_f64()));
                system::run_on(Cores::One(load_core))?;
                Ok(figures)
            }
            Workload::Latency => self.program(&["latency", &url]),
            Workload::File => unreachable!("done above"),
        }
    }

    /// A relay that many have come to and gone from joins pairs, and by turns with it one that has just been started: what the system still
    /// has to do with past connections is the same for both.
    fn past(
        &mut self,
        name: &'static str,
        dialect: &dyn dialect::Dialect,
        bench: Bench,
    ) -> io::Result<Figures> {
        let failed = load::past(dialect, &mut self.numbers, self.plan.past);
        let time = 2 * self.plan.time;
        let [mut fresh, mut later] = [Vec::new(), Vec::new()];
        for _ in 0..self.plan.repetitions {
            let mut other = Peer::another(name, &self.places)?;
            let running = other.start(Cores::One(bench.relay_core), &self.places)?;
            let other_bench = Bench { relay: running.id(), ..bench };
            for (each, dialect, bench) in
                [(&mut fresh, &*other.dialect, other_bench), (&mut later, dialect, bench)]
            {
                let figures = load::join(dialect, bench, &mut self.numbers, time)?;
                each.extend(
                    figures.iter().find(|(name, _)| *name == "cpu_us_pair").map(|(_, number)| number),
                );
            }
        }
        Ok(vec![
            ("cpu_us_pair_fresh", median(&fresh)),
            ("cpu_us_pair_later", median(&later)),
            ("connections", 2.0 * self.plan.past as f64),
            ("failed", failed as f64),
        ])
    }

    /// The program of the clients is the backend of the proxy.
    fn plain_latency(&self) -> io::Result<Figures> {
        let cores = Cores::One(self.arguments.relay_core);
        let _running = Peer::start_proxy(PLAIN[0], PLAIN[1], cores, &self.places)?;
        let [near, far] = PLAIN.map(|port| format!("127.0.0.1:{port}"));
        self.program(&["plain", &near, &far])
    }

    /// What the program of the clients prints: names and numbers.
    fn program(&self, words: &[&str]) -> io::Result<Figures> {
        let output = Command::new(&self.arguments.packets).args(words).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let known = ["packets_s", "p50_us", "p99_us"];
        let pairs = said.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((*known.iter().find(|known| **known == name)?, number.trim().parse().ok()?))
        });
        Ok(pairs.collect())
    }

    fn number(&mut self) -> u64 {
        self.numbers.next().unwrap_or(0)
    }

    /// Waits until both processors have had little to do for 0.3 s; for 20 s at most, and no longer in all than there is patience.
    fn wait_for_quiet(&mut self) {
        let cores = [self.arguments.relay_core, self.arguments.load_core];
        let begun = Instant::now();
        while self.waited < self.plan.patience && begun.elapsed() < Duration::from_secs(20) {
            let before = cores.map(Ticks::now);
            let step = Duration::from_millis(300);
            std::thread::sleep(step);
            if cores.into_iter().zip(before).all(|(core, before)| Ticks::now(core).since(before).0 < 0.15) {
                return;
            }
            self.waited += step;
        }
    }
}

fn line(figures: &Figures) -> String {
    let words: Vec<String> =
        figures.iter().map(|(name, number)| format!("{name} {}", results::short(*number))).collect();
    words.join(", ")
}
