//! A relay is replaced under load, and its certificate too; nobody may lose anything.
//!
//! ```text
//! cargo run --release -p phantom-tests --bin succession
//! cargo run --release -p phantom-tests --bin succession -- --pairs 100
//! ```
//!
//! Pairs of real clients send packets both ways without a pause. SIGHUP: clients that come then see the new certificate, and
//! nobody who was there is cut. Then SIGTERM, and a successor at the same port at once: every client is told within
//! 100 ms, every channel goes on, and every packet arrives once and in order.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use phantom_tests::identity::{Files, Identity};
use phantom_tests::program::{Programs, Result, Running, free_address};
use phantom_tokio::{Channel, ChannelState, Client, ClientBuilder, EncryptionKey, Event};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How soon everybody must have been told.
const TOLD_MAX: Duration = Duration::from_millis(100);
/// How long anything may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long packets go to and fro before and after each event.
const LOAD: Duration = Duration::from_secs(2);
const PACKET: usize = 1000;
const PAUSE: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("succession: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pairs() -> Result<usize> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(50),
        ["--pairs", number] => Ok(number.parse::<usize>()?.max(1)),
        _ => Err("there is only --pairs NUMBER".into()),
    }
}

/// What happened to somebody, and when.
enum News {
    Told,
    Resumed,
    Offline,
}

type Reports = UnboundedSender<(Instant, News)>;

async fn run() -> Result<()> {
    phantom_mio::raise_file_limit()?;
    let pairs = pairs()?;
    let programs = Programs::build()?;
    let folder = tempfile::tempdir()?;
    let site = Site::new(folder.path())?;
    let relay = site.start(&programs)?;

    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let (reports, mut news) = unbounded_channel();
    let mut talks = JoinSet::new();
    for _ in 0..pairs {
        let (clients, channels) = timeout(PATIENCE, site.meet()).await??;
        for client in clients {
            tokio::spawn(watch(client, reports.clone()));
        }
        let [a, b] = channels;
        for channel in [&a, &b] {
            tokio::spawn(follow(Arc::clone(channel), reports.clone()));
        }
        for (from, to) in [(&a, &b), (&b, &a)] {
            talks.spawn(talk(Arc::clone(from), Arc::clone(to), Arc::clone(&stop), Arc::clone(&sent)));
        }
    }
    println!("{pairs} pairs talk both ways.");
    sleep(LOAD).await;
    let taken = site.renew(&relay).await?;
    sleep(LOAD).await;
    if !news.is_empty() {
        return Err("SIGHUP: somebody was disconnected or told something".into());
    }
    println!(
        "SIGHUP: the new certificate is served after {:.0} ms, and nobody noticed.",
        taken.as_secs_f64() * 1000.0
    );
    let _successor = succeed(&site, &programs, relay, pairs * 2, &mut news).await?;
    sleep(LOAD).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) =
        timeout(PATIENCE, talks.join_next()).await.map_err(|_| "a packet does not arrive")?
    {
        ended??;
    }
    println!("Nothing lost, doubled or out of order: {} packets.", sent.load(Ordering::Relaxed));
    Ok(())
}

/// SIGTERM, a successor, and what the clients say to it.
async fn succeed(
    site: &Site,
    programs: &Programs,
    mut relay: Running,
    clients: usize,
    news: &mut UnboundedReceiver<(Instant, News)>,
) -> Result<Running> {
    let begun = Instant::now();
    relay.signal("TERM")?;
    let signalled = begun.elapsed();
    let (site, programs) = (site.clone(), programs.clone());
    let successor = tokio::task::spawn_blocking(move || {
        // It may come too early, while the port is still taken.
        let patience = Instant::now() + PATIENCE;
        loop {
            match site.start(&programs).map_err(|error| error.to_string()) {
                Err(error) if Instant::now() > patience => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
                Ok(successor) => return Ok((successor, Instant::now())),
            }
        }
    });
    let (mut told, mut resumed, mut offline) = (Vec::new(), Vec::new(), 0);
    while told.len() < clients || resumed.len() < clients {
        let heard = timeout(PATIENCE, news.recv()).await;
        let Ok(Some((at, what))) = heard else {
            return Err(format!("{} of {clients} were told, {} resumed", told.len(), resumed.len()).into());
        };
        match what {
            News::Told => told.push(at - begun),
            News::Resumed => resumed.push(at - begun),
            News::Offline => offline += 1,
        }
    }
    let (successor, up) = successor.await??;
    if !relay.wait(PATIENCE)? {
        return Err("the old relay did not end with status 0".into());
    }
    told.sort_unstable();
    resumed.sort_unstable();
    let last = |times: &[Duration]| times[clients - 1].as_secs_f64() * 1000.0;
    println!(
        "SIGTERM: all {clients} told after {:.1} ms at the latest (the signal took {:.1}); the successor was up after {:.0} ms; \
         {offline} links ended; all channels resumed after {:.0} ms, half of them after {:.0} ms.",
        last(&told),
        signalled.as_secs_f64() * 1000.0,
        (up - begun).as_secs_f64() * 1000.0,
        last(&resumed),
        resumed[clients / 2].as_secs_f64() * 1000.0
    );
    if told[clients - 1] > TOLD_MAX {
        return Err(format!("somebody was told only after {:.1} ms", last(&told)).into());
    }
    Ok(successor)
}

/// Where the relay is, and how it is started.
#[derive(Clone)]
struct Site {
    at: SocketAddr,
    url: String,
    arguments: Vec<String>,
    files: Files,
    /// Before and after.
    identities: [Identity; 2],
}

impl Site {
    fn new(folder: &Path) -> Result<Self> {
        let (at, secure) = (free_address()?, free_address()?);
        let files = Files::of(folder);
        let identities = [Identity::make()?, Identity::make()?];
        files.install(&identities[0])?;
        let secret = folder.join("relay.secret").display().to_string();
        let mut arguments =
            ["--secret-file".to_owned(), secret, "--listen-tls".to_owned(), secure.to_string()].to_vec();
        arguments.extend(files.arguments());
        Ok(Self { at, url: format!("wss://localhost:{}", secure.port()), arguments, files, identities })
    }

    fn start(&self, programs: &Programs) -> Result<Running> {
        programs.relay(self.at, &self.arguments, false)
    }

    /// A client that believes these.
    async fn client(&self, known: &[Identity]) -> std::result::Result<Client, phantom_tokio::Error> {
        let key = EncryptionKey::parse("a key of two").expect("a key");
        let builder = Client::builder().relay(&self.url).key(key);
        let trusting = |builder: ClientBuilder, known: &Identity| {
            builder.root_certificate_pem(known.certificate.as_bytes())
        };
        known.iter().fold(builder, trusting).connect().await
    }

    /// Two clients with a channel between them.
    async fn meet(&self) -> Result<([Client; 2], [Arc<Channel>; 2])> {
        let (a, b) = tokio::try_join!(self.client(&self.identities), self.client(&self.identities))?;
        let accepting = async {
            Ok::<_, Box<dyn Error>>(b.next_request().await.ok_or("no request comes")?.accept().await?)
        };
        let asking = async { Ok(a.ask(b.id()).await?) };
        let (at_a, at_b) = tokio::try_join!(asking, accepting)?;
        tokio::try_join!(at_a.secured(), at_b.secured())?;
        Ok(([a, b], [Arc::new(at_a), Arc::new(at_b)]))
    }

    /// Puts the second certificate in place, and waits until whoever comes sees it and no longer the first.
    async fn renew(&self, relay: &Running) -> Result<Duration> {
        let [before, after] = self.identities.each_ref().map(std::slice::from_ref);
        if self.client(after).await.is_ok() {
            return Err("the new certificate is served before it is there".into());
        }
        self.files.install(&self.identities[1])?;
        let begun = Instant::now();
        relay.signal("HUP")?;
        while self.client(after).await.is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("the new certificate is not served".into());
            }
            sleep(PAUSE).await;
        }
        let taken = begun.elapsed();
        match self.client(before).await {
            Ok(_) => Err("the old certificate is still served".into()),
            Err(_) => Ok(taken),
        }
    }
}

/// Reports what the relay tells a client, and keeps the client.
async fn watch(client: Client, reports: Reports) {
    while let Some(event) = client.next_event().await {
        let what = match event {
            Event::RelayRestarting { .. } => News::Told,
            Event::Offline { .. } => News::Offline,
            _ => continue,
        };
        let _over = reports.send((Instant::now(), what));
    }
}

/// Reports that a channel goes on.
async fn follow(channel: Arc<Channel>, reports: Reports) {
    while let Some(state) = channel.next_state().await {
        if state == ChannelState::Resumed {
            let _over = reports.send((Instant::now(), News::Resumed));
        }
    }
}

/// Sends numbered packets until it is to stop, while the other end counts them.
async fn talk(
    from: Arc<Channel>,
    to: Arc<Channel>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> std::result::Result<(), String> {
    let sending = async {
        let mut count = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let mut packet = vec![0; PACKET];
            packet[..8].copy_from_slice(&count.to_be_bytes());
            from.send_bytes(packet).await.map_err(|error| format!("a channel does not go on: {error}"))?;
            count += 1;
            sleep(PAUSE).await;
        }
        from.send_bytes(u64::MAX.to_be_bytes().to_vec()).await.map_err(|error| error.to_string())?;
        Ok(count)
    };
    let receiving = async {
        for expected in 0.. {
            let packet =
                to.receive_bytes().await.map_err(|error| format!("a channel does not go on: {error}"))?;
            let packet = packet.ok_or("a channel ended")?;
            let number = packet
                .first_chunk()
                .map(|bytes| u64::from_be_bytes(*bytes))
                .ok_or("a packet is cut short")?;
            match (number, packet.len()) {
                (u64::MAX, 8) => return Ok(expected),
                (number, PACKET) if number == expected => {}
                _ => return Err(format!("packet {number} came where {expected} should have")),
            }
        }
        Ok(0)
    };
    let (count, arrived) = tokio::try_join!(sending, receiving)?;
    if count != arrived {
        return Err(format!("{count} packets were sent and {arrived} arrived"));
    }
    sent.fetch_add(count, Ordering::Relaxed);
    Ok(())
}
