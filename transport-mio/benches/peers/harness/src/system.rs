//! What the system tells and does: processors, processor time, memory, sockets. All of Linux.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::{Domain, Socket, Type};

/// Connections come from so many addresses, for a relay lets in only so many from one.
const ADDRESSES: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Which processors may be used.
#[derive(Clone, Copy)]
pub(crate) enum Cores {
    /// This one.
    One(usize),
    /// Every one of the first 64.
    All,
}

/// Lets this thread, and what it starts from now on, run here only.
pub(crate) fn run_on(cores: Cores) -> io::Result<()> {
    let mut set = CpuSet::new();
    match cores {
        Cores::One(core) => set.set(core),
        Cores::All => (0..64).for_each(|core| set.set(core)),
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// How many processors this thread may run on.
pub(crate) fn cores() -> io::Result<u32> {
    Ok(sched_getaffinity(None)?.count())
}

/// Ahead of everybody else on this machine, as far as that is allowed.
pub(crate) fn raise_priority() {
    let _not_allowed = setpriority_process(None, -20);
}

/// As many open files as may be; says how many.
pub(crate) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _not_allowed = setrlimit(Resource::Nofile, hard);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Processor time that a process has used, all its threads together.
pub(crate) fn busy(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .map(|text| nth(&text, 0))
        .sum()
}

/// How long this thread could have run and did not: what others took away.
pub(crate) fn waited() -> Duration {
    fs::read_to_string("/proc/thread-self/schedstat").map_or(Duration::ZERO, |text| nth(&text, 1))
}

fn nth(schedstat: &str, place: usize) -> Duration {
    Duration::from_nanos(
        schedstat.split_whitespace().nth(place).and_then(|word| word.parse().ok()).unwrap_or(0),
    )
}

/// Processor time of children that have ended and were waited for, in steps of 10 ms.
pub(crate) fn busy_of_ended_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        behind_name.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// Memory of a process that is in use, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// What a processor has done so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ticks {
    busy: f64,
    stolen: f64,
    all: f64,
}

impl Ticks {
    /// Of this processor, until now.
    pub(crate) fn now(core: usize) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        let [_, _, _, idle, waits, _, _, stolen] = ticks[..] else { return Self::default() };
        let all: f64 = ticks.iter().sum();
        Self { busy: all - idle - waits - stolen, stolen, all }
    }

    /// The share of the time since then that it was busy, and that the hypervisor took away.
    pub(crate) fn since(self, before: Self) -> (f64, f64) {
        let all = (self.all - before.all).max(1.0);
        ((self.busy - before.busy) / all, (self.stolen - before.stolen) / all)
    }
}

/// A connection to this port of this machine. The number decides which address it comes from.
pub(crate) fn connect(port: u16, number: u64) -> io::Result<TcpStream> {
    let place = number % ADDRESSES;
    let from = Ipv4Addr::new(127, 1, (place / 250) as u8, (place % 250 + 1) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(from, 0)).into())?;
    socket.connect(&local(port).into())?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// This port of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Waits until something listens here.
pub(crate) fn wait_for_port(port: u16) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match TcpStream::connect_timeout(&local(port), Duration::from_millis(200)) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
