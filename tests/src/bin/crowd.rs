//! Twenty thousand clients that have joined and then only say that they are there, on one relay with its defaults.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin crowd
//! cargo run --release -p phantom-tests --bin crowd -- --clients 50000 --seconds 60
//! ```
//!
//! They are sockets of one thread, from several loopback addresses, that send PING every 15 s and read what comes. It prints what the
//! relay's memory grew by for each of them, at half of them and at all, and the processor time that the whole crowd costs in a
//! minute. It fails if one is refused or disconnected. The memory of the system for the sockets is not the relay's, and is printed
//! beside it.

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use phantom_tests::crowd::{Crowd, PING_EVERY};
use phantom_tests::program::{Programs, Result, Running, Usage, free_address};

const FEW: usize = 100;
/// Descriptors that a relay with its defaults sets aside beside those of the clients: 4,096 for handshakes, the rest for itself.
const SPARE: u64 = 4096 + 128;
const KIB: f64 = 1024.0;

struct Plan {
    clients: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    match plan().and_then(|plan| run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan> {
    let mut plan = Plan { clients: 20_000, seconds: 30 };
    let words: Vec<String> = env::args().skip(1).collect();
    for pair in words.chunks(2) {
        let [word, number] = pair else { return Err(format!("{} needs a number", pair[0]).into()) };
        match word.as_str() {
            "--clients" => plan.clients = number.parse::<usize>()?.max(2 * FEW),
            "--seconds" => plan.seconds = number.parse::<u64>()?.max(1),
            _ => return Err(format!("{word} is unknown; there are --clients and --seconds").into()),
        }
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<()> {
    let limit = phantom_mio::raise_file_limit()?;
    let needed = plan.clients as u64 + SPARE;
    if limit < needed {
        return Err(format!(
            "{} clients need {needed} open files in the relay, handshakes included, and the hard limit is {limit}; raise it \
             (ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of a container), or ask for fewer with --clients",
            plan.clients
        )
        .into());
    }
    let at = free_address()?;
    let relay = Programs::build_relay()?.relay(at, &[], false)?;
    let mut crowd = Crowd::new(at)?;
    crowd.grow(FEW)?;
    let (few, few_kernel) = (relay.usage()?, kernel_memory()?);
    println!("{:>8} {:>12} {:>16} {:>18}", "clients", "relay MiB", "KiB per client", "system KiB per one");
    for count in [plan.clients / 2, plan.clients] {
        crowd.grow(count)?;
        let grown = (count - FEW) as f64;
        let usage = relay.usage()?;
        println!(
            "{count:>8} {:>12.1} {:>16.2} {:>18.2}",
            usage.resident as f64 / KIB / KIB,
            (usage.resident as f64 - few.resident as f64) / grown / KIB,
            (kernel_memory()? as f64 - few_kernel as f64) / grown / KIB
        );
    }
    let cost = idle(&mut crowd, &relay, Duration::from_secs(plan.seconds))?;
    println!(
        "\n{} clients stay for {} s, each with a PING every 15 s: {:.2} s of processor time a minute, {} answers.",
        plan.clients,
        plan.seconds,
        cost.as_secs_f64() * 60.0 / plan.seconds as f64,
        crowd.answers
    );
    if crowd.answers == 0 && plan.seconds >= PING_EVERY.as_secs() {
        return Err("nobody was answered".into());
    }
    Ok(())
}

/// What the system holds for all sockets, of which nearly all are these: at both ends.
fn kernel_memory() -> Result<u64> {
    let sockets = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages: u64 = tcp.rsplit(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let slab = fs::read_to_string("/proc/meminfo")?;
    let slab = slab.lines().find_map(|line| line.strip_prefix("Slab:")).unwrap_or_default();
    let slab: u64 = slab.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    Ok(pages * 4096 + slab * 1024)
}

/// Lets them stay for so long; says what processor time that cost the relay.
fn idle(crowd: &mut Crowd, relay: &Running, time: Duration) -> Result<Duration> {
    let Usage { busy: before, .. } = relay.usage()?;
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(relay.usage()?.busy.saturating_sub(before));
        }
        crowd.attend(left.min(Duration::from_millis(50)))?;
    }
}
