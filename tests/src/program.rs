//! The project's programs, run as a user runs them: built beside the caller, watched from outside, ended with it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// What a tool of the tests returns: its error is a sentence.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long any one step may take before the run counts as hung.
pub const STEP_MAX: Duration = Duration::from_secs(120);

/// Where the programs lie.
#[derive(Clone)]
pub struct Programs {
    /// `phantom`.
    pub phantom: PathBuf,
    /// `phantom-relay`.
    pub relay: PathBuf,
}

impl Programs {
    /// Builds the programs beside this one, if that is still to be done.
    ///
    /// # Errors
    /// They do not build.
    pub fn build() -> Result<Self> {
        Self::build_packages(&["phantom-cli", "phantom-mio"])
    }

    /// Builds the relay alone.
    ///
    /// # Errors
    /// It does not build.
    pub fn build_relay() -> Result<Self> {
        Self::build_packages(&["phantom-mio"])
    }

    fn build_packages(packages: &[&str]) -> Result<Self> {
        let folder = env::current_exe()?.parent().ok_or("this program lies nowhere")?.to_owned();
        // A test lies one deeper.
        let folder = if folder.ends_with("deps") { folder.join("..").canonicalize()? } else { folder };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--bins"]).args(packages.iter().flat_map(|package| ["-p", package]));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // Build scripts look at these, and would run again whenever another package's tests call this.
        for (name, _) in env::vars_os() {
            if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start))
            {
                build.env_remove(name);
            }
        }
        if !build.status()?.success() {
            return Err("the programs do not build".into());
        }
        Ok(Self { phantom: folder.join("phantom"), relay: folder.join("phantom-relay") })
    }

    /// A relay that listens at this address, with these further arguments, on one processor if `taskset` is there and it is asked for.
    ///
    /// # Errors
    /// It does not start; what it said is in the error.
    pub fn relay(&self, at: SocketAddr, arguments: &[String], pinned: bool) -> Result<Running> {
        let mut command = match pinned.then(|| find("taskset")).flatten() {
            Some(taskset) => {
                let mut command = Command::new(taskset);
                command.args(["-c", "0"]).arg(&self.relay);
                command
            }
            None => Command::new(&self.relay),
        };
        command.args(["--listen", &at.to_string()]).args(arguments);
        let mut relay = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        let said = relay.0.stderr.take().ok_or("the relay has no output for errors")?;
        // What it says must not fill its pipe, and is told if it does not start.
        let listening = thread::spawn(move || BufReader::new(said).lines().map_while(io::Result::ok).last());
        let patience = Instant::now() + STEP_MAX;
        while TcpStream::connect(at).is_err() {
            if relay.0.try_wait()?.is_some() {
                let last = listening.join().ok().flatten().unwrap_or_default();
                return Err(format!("the relay did not start: {last}").into());
            }
            if Instant::now() > patience {
                return Err("the relay does not listen".into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(relay)
    }
}

/// What a relay counts, read from where it shows its metrics: each by its name and labels.
///
/// # Errors
/// Nothing is shown there.
pub fn metrics(at: SocketAddr) -> Result<BTreeMap<String, f64>> {
    let mut socket = TcpStream::connect(at)?;
    socket.set_read_timeout(Some(STEP_MAX))?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("phantom_relay_")?.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    Ok(values.collect())
}

/// A loopback address with a free port.
///
/// # Errors
/// There is none.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// A program by its name, if it is installed.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A process that does not outlive this one.
pub struct Running(pub Child);

impl Running {
    /// Waits for its end; says whether it ended well.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn wait(&mut self, limit: Duration) -> Result<bool> {
        let patience = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > patience {
                return Err("a program does not come to its end".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by its name, as `kill -s` takes it.
    ///
    /// # Errors
    /// There is no `kill`, or no such process.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(format!("the signal {name} could not be sent").into()) }
    }

    /// What it uses, as the system counts it.
    ///
    /// # Errors
    /// It has ended, or this is no Linux.
    pub fn usage(&self) -> Result<Usage> {
        let folder = PathBuf::from(format!("/proc/{}", self.0.id()));
        let status = fs::read_to_string(folder.join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib =
            |name| field(name).map(|kib| kib << 10).ok_or("the system does not tell the memory of a process");
        let (resident, own) = (kib("VmRSS:")?, kib("RssAnon:")?);
        Ok(Usage { resident, own, peak: kib("VmHWM:")?, busy: busy(&folder)? })
    }

    /// Lets the peak of [`usage`](Self::usage) begin anew.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time of all processors since the system began, and how much of it the host gave to other machines, in ticks.
///
/// # Errors
/// This is no Linux.
pub fn stolen() -> io::Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // Guests are counted within the first two.
    Ok((ticks.iter().take(8).sum(), ticks.get(7).copied().unwrap_or_default()))
}

/// What a process uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes of memory now.
    pub resident: u64,
    /// Those of them that are its own: not the pages of its program and libraries that it happens to have touched.
    pub own: u64,
    /// The most there were.
    pub peak: u64,
    /// Processor time of all its threads, since it began.
    pub busy: Duration,
}

/// The threads' times are counted in nanoseconds; those of threads that have ended are left out.
fn busy(folder: &Path) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(folder.join("task"))? {
        let mut text = String::new();
        fs::File::open(thread?.path().join("schedstat"))?.read_to_string(&mut text)?;
        nanoseconds += text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}
