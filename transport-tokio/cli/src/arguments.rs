//! The command line.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use phantom_tokio::Fingerprint;
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::fault::TABLE;
use crate::message::Message;
use crate::words::DRAWN_RANGE;

const EXAMPLES: &str = "\
Examples:
  phantom demo
      See it work, all on this machine.
  phantom relay
      In one terminal: the place to meet.
  phantom send notes.pdf
      In a second one: prints an invitation.
  phantom receive INVITATION
      In a third one: takes the file.";

/// Two programs meet through a relay that cannot read what they say.
#[derive(Parser)]
#[command(name = "phantom", version, max_term_width = 80, after_help = format!("{EXAMPLES}\n\n{TABLE}"))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: OutputArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(DemoArguments),
    Chat(ChatArguments),
    Pipe(PipeArguments),
    Forward(ForwardArguments),
    Send(SendArguments),
    Receive(ReceiveArguments),
    Relay(RelayArguments),
    Doctor(DoctorArguments),
    Bench(BenchArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
}

/// Show everything at work: a relay, two clients, a greeting and a file
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom demo
  phantom demo holiday.mp4
  phantom demo --wrong-key

{TABLE}"))]
pub(crate) struct DemoArguments {
    /// The file to pass; without it, this program itself
    pub(crate) file: Option<PathBuf>,

    /// Give the second client another key, to see what happens then
    #[arg(long)]
    pub(crate) wrong_key: bool,
}

/// Talk with somebody, line by line
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom chat
      Prints an invitation and waits.
  phantom chat INVITATION
      Goes to the one who waits.
  phantom chat --relay wss://relay.example.org

The end of input (Ctrl-D) ends the chat.

{TABLE}"))]
pub(crate) struct ChatArguments {
    /// What the other side printed, or - to read it from the first line of standard input; without it, invite somebody
    pub(crate) invitation: Option<String>,

    #[command(flatten)]
    pub(crate) invite: InviteArguments,
}

/// Join standard input here to standard output there, and the other way round
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  tar c photos | phantom pipe
      Prints an invitation to standard error and waits.
  phantom pipe INVITATION | tar x
      Takes what comes.
  phantom pipe - < invitation-and-data
      The invitation is the first line, the rest is data.

The end of input ends one direction; the other one goes on until the other
side's input ends, too. With --json, the objects go to standard error.

{TABLE}"))]
pub(crate) struct PipeArguments {
    /// What the other side printed, or - to read it from the first line of standard input; without it, invite somebody
    pub(crate) invitation: Option<String>,

    #[command(flatten)]
    pub(crate) invite: InviteArguments,
}

/// Let a TCP port on one side lead to a TCP port on the other
#[derive(Args)]
#[command(group(clap::ArgGroup::new("way").args(["listen", "to"]).required(true)), after_help = format!("\
Examples:
  phantom forward --to localhost:22
      On the side that has the target. Prints an invitation.
  phantom forward --listen 2222 INVITATION
      On the other side. Then: ssh -p 2222 localhost
  phantom forward --listen 5432
      Either side can be the one that invites.
  phantom forward --to db.example:5432 INVITATION

Only the side that has the target names it: the other side reaches this
target through it, and nothing else. A port without an address listens for
this machine alone. Ctrl-C ends it.

{TABLE}"))]
pub(crate) struct ForwardArguments {
    /// What the other side printed, or - to read it from standard input; without it, invite somebody
    pub(crate) invitation: Option<String>,

    /// Accept connections here, as port or address:port; 0 is a free port
    #[arg(short, long, value_name = "PORT")]
    pub(crate) listen: Option<Endpoint>,

    /// Connect to this target, as host:port or a port of this machine
    #[arg(short, long, value_name = "TARGET")]
    pub(crate) to: Option<Endpoint>,

    #[command(flatten)]
    pub(crate) invite: InviteArguments,
}

/// Send files, folders, standard input or a text to somebody
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom send notes.pdf photos
      Prints the invitation for the other side.
  phantom send notes.pdf --relay wss://relay.example.org
  pg_dump shop | phantom send - --name shop.sql
  phantom send --text 'see you at eight'
  PHANTOM_KEY='blue elephants' phantom send notes.pdf
      With a key of your own.

The invitation is the first line of standard output. Whoever has it can take the files: give it to nobody else.

Of permissions, only whether a file can be run is kept. Links that stay in the folder that is sent are kept; others are followed if they \
lead to a file, and left out if not. After an interruption, send and receive the same again: it goes on where it was.

{TABLE}"))]
pub(crate) struct SendArguments {
    /// Files and folders; - is standard input
    #[arg(required_unless_present = "text", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Another name for the one file or folder, or one for standard input
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// A text to be shown at the other side. Other users of this machine can see arguments
    #[arg(long, conflicts_with_all = ["files", "name"])]
    pub(crate) text: Option<String>,

    #[command(flatten)]
    pub(crate) invite: InviteArguments,
}

/// Receive what somebody sends
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom receive \"phantom://127.0.0.1:7777/AF83X1#KEY\"
      Into the current folder.
  phantom receive INVITATION --into ~/Downloads
  phantom receive INVITATION --stdout | psql shop
  phantom receive
      Asks for the invitation, or for ID and key.

Nothing has its name before all of it is there and right. After an interruption, what has arrived is kept in a folder \
.phantom-*.part beside it: send and receive the same again, and it goes on where it was.

{TABLE}"))]
pub(crate) struct ReceiveArguments {
    /// What the other side printed; without it, or with -, it is asked for or read from standard input, and stands in no list of
    /// processes and no history of the shell
    pub(crate) invitation: Option<String>,

    /// A folder that exists; without it, the current folder
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) into: Option<PathBuf>,

    /// A folder that exists, or a name for the one file or folder that comes
    #[arg(short, long, value_name = "FILE", conflicts_with = "into")]
    pub(crate) output: Option<PathBuf>,

    /// Write the one file that comes to standard output, as it comes; only the end tells whether it was right
    #[arg(long, conflicts_with_all = ["into", "output", "overwrite"])]
    pub(crate) stdout: bool,

    /// Take it without asking
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Replace files that exist, and join folders
    #[arg(short = 'f', long, alias = "force")]
    pub(crate) overwrite: bool,

    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

/// Run a relay until Ctrl-C
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom relay
      For this machine only.
  phantom relay --listen 0.0.0.0:7777
      For everybody who can reach this machine.
  phantom relay --listen 127.0.0.1:0
      On a free port.

{TABLE}"))]
pub(crate) struct RelayArguments {
    /// Where to listen, as host:port
    #[arg(
        long,
        value_name = "ADDR",
        env = "PHANTOM_RELAY_LISTEN",
        default_value = "127.0.0.1:7777",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(crate) listen: String,
}

/// Try each step to a relay and through it, and say which one fails
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom doctor wss://relay.example.org
  phantom doctor
      The relay in the settings, or on this machine.

{TABLE}"))]
pub(crate) struct DoctorArguments {
    /// The relay
    #[arg(env = "PHANTOM_RELAY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) url: Option<String>,

    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

/// Measure how fast a relay is
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom bench ws://127.0.0.1:7777
  phantom bench --pairs 8 --size 64,65536 --duration 10
  phantom bench --json | jq .round_trip_us.p99

All clients are in this program: its own work is part of what is measured.

{TABLE}"))]
pub(crate) struct BenchArguments {
    /// The relay
    #[arg(env = "PHANTOM_RELAY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) url: Option<String>,

    /// Pairs of clients at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) pairs: u8,

    /// Bytes in a packet, one size or several
    #[arg(short, long = "size", value_name = "BYTES", value_delimiter = ',', default_values_t = [64, 16_384], value_parser = packet_size)]
    pub(crate) sizes: Vec<usize>,

    /// Seconds for each size
    #[arg(short, long, value_name = "SECONDS", default_value_t = 4.0, value_parser = seconds)]
    pub(crate) duration: f64,

    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

/// Print what makes a shell complete the commands of this program
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom completions bash > ~/.local/share/bash-completion/completions/phantom
  phantom completions zsh > ~/.zfunc/_phantom
  phantom completions fish > ~/.config/fish/completions/phantom.fish
  phantom completions powershell >> $PROFILE

{TABLE}"))]
pub(crate) struct CompletionsArguments {
    /// The shell
    pub(crate) shell: Shell,
}

/// Write the manual pages of this program into a folder
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  phantom man ~/.local/share/man/man1

{TABLE}"))]
pub(crate) struct ManArguments {
    /// A folder that exists
    pub(crate) folder: PathBuf,
}

fn packet_size(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|size| (1..=1 << 20).contains(size)).ok_or_else(|| Message::BadSize.into())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .ok_or_else(|| Message::BadSeconds.into())
}

/// What is said, and how.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Print one JSON object per line for everything a script needs, and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing but results and what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// Where and how to wait for the other side.
#[derive(Args)]
pub(crate) struct InviteArguments {
    /// The relay to meet at, or `here` for one inside this program; without it, the one in phantom/config.toml, one that runs on this
    /// machine, or one inside this program
    #[arg(long, value_name = "URL", env = "PHANTOM_RELAY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) relay: Option<String>,

    /// The key or passphrase to use; without it, a random one is made. Other users of this machine can see arguments, but not the
    /// environment
    #[arg(long, value_name = "KEY", env = "PHANTOM_KEY", hide_env_values = true, value_parser = secret)]
    pub(crate) key: Option<Zeroizing<String>>,

    /// Make a key of words that can be said aloud: four random ones, or N, and one that checks them
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "4",
        value_parser = clap::value_parser!(u8).range(DRAWN_RANGE),
        conflicts_with = "key"
    )]
    pub(crate) words: Option<u8>,

    /// Show the invitation as a QR code, too
    #[arg(long)]
    pub(crate) qr: bool,

    /// Put the invitation into the terminal's clipboard
    #[arg(long)]
    pub(crate) copy: bool,

    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

/// How to reach the relay.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArguments {
    /// The access token that the relay wants; whatever relay is dialled sees it
    #[arg(long, value_name = "TOKEN", env = "PHANTOM_TOKEN", hide_env_values = true, value_parser = secret)]
    pub(crate) token: Option<Zeroizing<String>>,

    /// Trust a relay with this certificate or public key and no other: its SHA-256, in 64 hexadecimal digits
    #[arg(long, value_name = "SHA256")]
    pub(crate) pin: Vec<Fingerprint>,

    /// Trust this root certificate, too: a file in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Vec<PathBuf>,

    /// Go through this proxy, http:// or socks5://; without it, through the one that the environment names
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) proxy: Option<Zeroizing<String>>,
}

/// Takes any text: what is wrong with it is said later, without repeating it.
#[expect(clippy::unnecessary_wraps, reason = "the form that clap calls")]
fn secret(text: &str) -> Result<Zeroizing<String>, std::convert::Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    /// The words of the command in a line of a shell; nothing, if there is none in it.
    fn words(line: &str) -> Option<Vec<String>> {
        let at = line.find("phantom ").filter(|at| *at == 0 || line[..*at].ends_with(' '))?;
        let (mut words, mut quote) = (vec![String::new()], None);
        for c in line[at..].chars() {
            match c {
                '|' | '<' | '>' if quote.is_none() => break,
                ' ' if quote.is_none() => words.push(String::new()),
                '\'' | '"' if quote.is_none() => quote = Some(c),
                _ if quote == Some(c) => quote = None,
                _ => words.last_mut()?.push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        Some(words)
    }

    /// Nothing but the form is looked at.
    #[track_caller]
    fn is_understood(line: &str) -> bool {
        let Some(words) = words(line) else { return false };
        if let Err(error) = Arguments::try_parse_from(&words) {
            panic!("{line}: {error}");
        }
        true
    }

    #[test]
    fn every_example_in_a_help_text_is_understood() {
        let program = Arguments::command();
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let text = command.get_after_help().expect("it has examples").to_string();
            let examples = text.lines().skip_while(|line| *line != "Examples:").skip(1);
            let examples = examples.take_while(|line| !line.is_empty());
            // What is further in explains the example above it.
            let examples = examples.filter(|line| !line.starts_with("   ")).map(str::trim);
            assert!(examples.filter(|line| is_understood(line)).count() > 0, "{}", command.get_name());
        }
    }

    #[test]
    fn every_command_in_the_readme_is_understood() {
        let text = include_str!("../README.md");
        let commands = text.split("```").skip(1).step_by(2).flat_map(str::lines);
        assert!(commands.filter(|line| is_understood(line)).count() > 20);
        for command in Arguments::command().get_subcommands() {
            let name = format!("phantom {}", command.get_name());
            assert!(text.contains(&name), "the README has no {name}");
        }
    }
}
