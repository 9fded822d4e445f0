//! Sends a file through a relay that is killed again and again, over connections that are cut, stalled and half-closed.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin chaos
//! cargo run --release -p phantom-tests --bin chaos -- --size-mib 64 --rounds 5 --seed 7
//! ```
//!
//! It runs the real programs: `phantom-relay`, `phantom send` and `phantom receive`, first undisturbed, then with a disturbance each
//! time another part of the file has passed. In the end the file must be identical, nobody must have been asked anything, and the
//! time beyond the outages must not exceed that of the undisturbed run by more than a tenth.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use phantom_core::rng::Rng;
use phantom_tests::program::{Programs, Result, Running, STEP_MAX, free_address};
use phantom_tests::proxy::Proxy;

/// What the disturbed run may cost beyond its outages, as a factor of the undisturbed one.
const COST_MAX: f64 = 1.1;

struct Plan {
    size: u64,
    rounds: u64,
    seed: u64,
}

fn main() -> ExitCode {
    match plan().and_then(|plan| run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan> {
    let mut plan = Plan { size: 1 << 30, rounds: 20, seed: 1 };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let number: u64 = words.next().ok_or_else(|| format!("{word} needs a number"))?.parse()?;
        match word.as_str() {
            "--size-mib" => plan.size = number << 20,
            "--rounds" => plan.rounds = number,
            "--seed" => plan.seed = number,
            _ => return Err(format!("{word} is unknown; there are --size-mib, --rounds and --seed").into()),
        }
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<()> {
    let programs = Programs::build()?;
    let folder = tempfile::tempdir()?;
    let original = folder.path().join("original");
    println!("making a file of {} MiB", plan.size >> 20);
    let sum = make_file(&original, plan)?;

    let calm = transfer(&programs, folder.path(), &original, sum, plan, false)?;
    println!("undisturbed:  {:6.2} s", calm.total.as_secs_f64());
    let wild = transfer(&programs, folder.path(), &original, sum, plan, true)?;
    let beyond = wild.total.saturating_sub(wild.outage);
    println!(
        "disturbed:    {:6.2} s, of which outages {:.2} s",
        wild.total.as_secs_f64(),
        wild.outage.as_secs_f64()
    );
    println!("identical:    BLAKE3 {}", blake3::Hash::from(sum).to_hex());
    let factor = beyond.as_secs_f64() / calm.total.as_secs_f64();
    println!("cost beyond outages: {factor:.2} of the undisturbed run (at most {COST_MAX})");
    if factor > COST_MAX {
        return Err("the disturbances cost more than their outages and a tenth".into());
    }
    Ok(())
}

struct Times {
    total: Duration,
    outage: Duration,
}

fn transfer(
    programs: &Programs,
    folder: &Path,
    original: &Path,
    sum: [u8; 32],
    plan: &Plan,
    disturb: bool,
) -> Result<Times> {
    let name = if disturb { "disturbed" } else { "undisturbed" };
    let target = folder.join(name);
    let port = free_address()?;
    let secret = folder.join(format!("{name}.secret"));
    let mut relay = start_relay(programs, port, &secret)?;
    let proxy = Proxy::start(port)?;

    let url = format!("ws://{}", proxy.address());
    let mut sender = Running(
        Command::new(&programs.phantom)
            .arg("send")
            .arg(original)
            .args(["--relay", &url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let mut said = BufReader::new(sender.0.stdout.take().ok_or("the sender has no output")?);
    let mut invitation = String::new();
    said.read_line(&mut invitation)?;
    // What else it says must not fill its pipe.
    let listening = thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let begun = Instant::now();
    let mut receiver = Running(
        Command::new(&programs.phantom)
            .arg("receive")
            .arg("-")
            .arg("--output")
            .arg(&target)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    // Closes its input: nobody can be asked anything.
    receiver.0.stdin.take().ok_or("the receiver has no input")?.write_all(invitation.as_bytes())?;
    if !proxy.wait_connections(2, STEP_MAX) {
        return Err("the two programs did not reach the relay".into());
    }
    proxy.count_outage(2);
    if disturb {
        let mut rng = Rng::from_seed(blake3::hash(&plan.seed.to_be_bytes()).as_bytes());
        for round in 1..=plan.rounds {
            // The proxy sees each byte twice: from the sender, and to the receiver.
            let mark = plan.size * 2 / (plan.rounds + 1) * round;
            if !proxy.wait_carried(mark, STEP_MAX) {
                return Err(format!("round {round}: nothing goes on at {} bytes", proxy.carried()).into());
            }
            disturb_once(programs, &proxy, &mut relay, port, &secret, round, &mut rng)?;
        }
    }
    for (who, process) in [("receiver", &mut receiver), ("sender", &mut sender)] {
        let status = process.wait(STEP_MAX)?;
        if !status {
            return Err(format!("the {who} failed").into());
        }
    }
    let total = begun.elapsed();
    let outage = proxy.take_outage();
    let _ = listening.join();
    if hash_file(&target)? != sum {
        return Err("the file arrived altered".into());
    }
    fs::remove_file(&target)?;
    Ok(Times { total, outage })
}

/// Kills the relay and starts it again; and cuts, stalls or half-closes a connection, or two of them.
fn disturb_once(
    programs: &Programs,
    proxy: &Proxy,
    relay: &mut Running,
    port: SocketAddr,
    secret: &Path,
    round: u64,
    rng: &mut Rng,
) -> Result<()> {
    let [kind, which, direction, pause] = rng.bytes::<4>();
    let what = match kind % 4 {
        0 => {
            proxy.cut(usize::from(which));
            "a socket cut"
        }
        1 => {
            proxy.half_close(usize::from(which), direction % 2 == 0);
            "a socket half-closed"
        }
        2 => {
            proxy.stall(true);
            thread::sleep(Duration::from_millis(u64::from(pause)));
            proxy.stall(false);
            "everything stalled"
        }
        _ => "nothing more",
    };
    // SIGKILL, on Unix: nothing is said to anybody.
    relay.0.kill()?;
    relay.0.wait()?;
    thread::sleep(Duration::from_millis(u64::from(pause)));
    *relay = start_relay(programs, port, secret)?;
    println!("round {round:2}: at {:4} MiB, relay killed, {what}", proxy.carried() >> 21);
    if !proxy.wait_connections(2, STEP_MAX) {
        return Err(format!("round {round}: the two programs did not come back").into());
    }
    Ok(())
}

fn start_relay(programs: &Programs, at: SocketAddr, secret: &Path) -> Result<Running> {
    programs.relay(at, &["--secret-file".to_owned(), secret.display().to_string()], false)
}

fn make_file(path: &Path, plan: &Plan) -> Result<[u8; 32]> {
    let mut file = File::create(path)?;
    let mut bytes = blake3::Hasher::new_derive_key("phantom tests chaos file");
    bytes.update(&plan.seed.to_be_bytes());
    let mut bytes = bytes.finalize_xof();
    let mut hasher = blake3::Hasher::new();
    let mut left = plan.size;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        bytes.fill(&mut buffer[..part]);
        hasher.update(&buffer[..part]);
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

fn hash_file(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(&buffer[..read]);
    }
}
