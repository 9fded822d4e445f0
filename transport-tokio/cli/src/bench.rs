//! `phantom bench`: how fast a relay is, for pairs of clients that are all in this program.
//!
//! For each size two things are measured, one after the other: how long one packet takes there and back while nothing else is on its
//! way, and how many packets get through when as many as possible are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use phantom_tokio::{Channel, Client, EncryptionKey};
use tokio::task::JoinSet;

use crate::address::Address;
use crate::arguments::{BenchArguments, ConnectArguments};
use crate::event::Event;
use crate::fault::{Fault, Status};
use crate::interrupt::Interrupt;
use crate::message::Message;
use crate::{connect, doctor, editor, explain, meet, ui, words};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);
/// Round trips are counted in microseconds, to three digits, up to a minute.
const LONGEST: u64 = 60_000_000;

/// Two clients and the channel between them. The clients only have to be there.
struct Pair {
    _clients: [Client; 2],
    here: Channel,
    there: Channel,
}

/// What was measured with one size.
pub(crate) struct Figures {
    pub(crate) size: usize,
    pub(crate) pairs: usize,
    pub(crate) packets: u64,
    pub(crate) seconds: f64,
    pub(crate) round_trips: Histogram<u64>,
}

pub(crate) async fn run(arguments: &BenchArguments, interrupt: &mut Interrupt) -> Result<(), Fault> {
    let relay = meet::relay_of(arguments.url.as_deref())?;
    tokio::select! {
        measured = measure(arguments, &relay) => measured,
        fault = interrupt.wait() => Err(fault),
    }
}

async fn measure(arguments: &BenchArguments, relay: &Address) -> Result<(), Fault> {
    let mut pairs = Vec::new();
    for _ in 0..arguments.pairs {
        pairs.push(Arc::new(Pair::meet(relay, &arguments.connect).await?));
    }
    let half = Duration::from_secs_f64(arguments.duration / 2.0);
    let bar = bar(arguments.sizes.len() as u64 * 2 * half.as_millis() as u64);
    let _as_long_as_there_is_a_bar = editor::hush();
    let mut all = Vec::new();
    for &size in &arguments.sizes {
        let mut figures = Figures::new(size, pairs.len())?;
        for trips in each(&pairs, &bar, half, move |pair| async move { pair.echo(size, half).await }).await? {
            figures.round_trips.add(trips).map_err(odd)?;
        }
        let began = Instant::now();
        let counts =
            each(&pairs, &bar, half, move |pair| async move { pair.flood(size, half).await }).await?;
        (figures.packets, figures.seconds) = (counts.iter().sum(), began.elapsed().as_secs_f64());
        all.push(figures);
    }
    bar.finish_and_clear();
    if ui::is_json() {
        all.iter().for_each(|figures| ui::event(&Event::Result { figures }));
    } else {
        table(&all);
    }
    Ok(())
}

/// Does `work` with every pair at once, while the bar moves.
async fn each<T: Send + 'static, F: Future<Output = Result<T, Fault>> + Send + 'static>(
    pairs: &[Arc<Pair>],
    bar: &ProgressBar,
    long: Duration,
    work: impl Fn(Arc<Pair>) -> F,
) -> Result<Vec<T>, Fault> {
    let mut running = JoinSet::new();
    for pair in pairs {
        running.spawn(work(Arc::clone(pair)));
    }
    let (start, began) = (bar.position(), Instant::now());
    let mut tick = tokio::time::interval(TICK);
    let mut results = Vec::new();
    loop {
        tokio::select! {
            done = running.join_next() => match done {
                Some(done) => results.push(done.map_err(odd)??),
                None => break,
            },
            _ = tick.tick() => bar.set_position(start + began.elapsed().min(long).as_millis() as u64),
        }
    }
    Ok(results)
}

impl Pair {
    async fn meet(relay: &Address, arguments: &ConnectArguments) -> Result<Self, Fault> {
        let join = async || {
            let joined = connect::builder(relay, arguments)?.connect().await;
            joined.map_err(|error| {
                let relay = relay.to_string();
                Fault::relay(Message::RelayUnreached { relay: &relay, error: &explain::relay(&error) })
            })
        };
        let clients = [join().await?, join().await?];
        let key = words::draw(12).map_err(odd)?;
        let key = EncryptionKey::parse(&key).map_err(odd)?;
        let (here, there) = doctor::open(&clients[0], &clients[1], &key).await.map_err(Fault::peer)?;
        Ok(Self { _clients: clients, here, there })
    }

    /// One packet at a time, there and back.
    async fn echo(&self, size: usize, long: Duration) -> Result<Histogram<u64>, Fault> {
        let mut trips = histogram()?;
        let packet = bytes::Bytes::from(vec![0x5a; size]);
        let began = Instant::now();
        while began.elapsed() < long {
            let sent = Instant::now();
            self.here.send_bytes(packet.clone()).await.map_err(|error| Fault::peer(error.to_string()))?;
            let came = receive(&self.there).await?;
            self.there.send_bytes(came).await.map_err(|error| Fault::peer(error.to_string()))?;
            receive(&self.here).await?;
            trips.saturating_record(sent.elapsed().as_micros() as u64);
        }
        Ok(trips)
    }

    /// As many as go; counts those that came.
    async fn flood(&self, size: usize, long: Duration) -> Result<u64, Fault> {
        let packet = bytes::Bytes::from(vec![0x5a; size]);
        let began = Instant::now();
        let mut sent = 0;
        let mut came = 0;
        // What is on its way when the time is over is taken, too: the channel is to be empty afterwards.
        while began.elapsed() < long || came < sent {
            tokio::select! {
                taken = self.here.send_bytes(packet.clone()), if began.elapsed() < long => {
                    taken.map_err(|error| Fault::peer(error.to_string()))?;
                    sent += 1;
                }
                received = receive(&self.there), if came < sent => {
                    received?;
                    came += 1;
                }
            }
        }
        Ok(came)
    }
}

async fn receive(channel: &Channel) -> Result<bytes::Bytes, Fault> {
    channel.receive_bytes().await.map_err(meet::over)?.ok_or_else(|| Fault::peer(Message::PeerLeft))
}

impl Figures {
    fn new(size: usize, pairs: usize) -> Result<Self, Fault> {
        Ok(Self { size, pairs, packets: 0, seconds: 0.0, round_trips: histogram()? })
    }

    pub(crate) fn packets_per_second(&self) -> f64 {
        self.packets as f64 / self.seconds.max(1e-6)
    }

    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.packets_per_second() * self.size as f64
    }
}

fn histogram() -> Result<Histogram<u64>, Fault> {
    Histogram::new_with_max(LONGEST, 3).map_err(odd)
}

fn odd(error: impl std::fmt::Display) -> Fault {
    Fault::new(Status::Other, error.to_string())
}

fn bar(milliseconds: u64) -> ProgressBar {
    let target = if ui::is_talkative() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{percent:>3}% {wide_bar}").expect("the template is valid");
    ProgressBar::with_draw_target(Some(milliseconds), target).with_style(style.progress_chars("━╸─"))
}

fn table(all: &[Figures]) {
    ui::picture_result(&Message::BenchHead.to_string());
    for figures in all {
        let trip =
            |quantile| ui::short(Duration::from_micros(figures.round_trips.value_at_quantile(quantile)));
        ui::picture_result(&format!(
            "{:>8} {:>5} {:>10.0} {:>8.1} {:>8} {:>8} {:>8} {:>8}",
            figures.size,
            figures.pairs,
            figures.packets_per_second(),
            figures.bytes_per_second() / 1e6,
            trip(0.5),
            trip(0.9),
            trip(0.99),
            trip(1.0),
        ));
    }
}
