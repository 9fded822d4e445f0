//! Whether the key agreement takes the same time whatever the secrets are: no branch and no address depends on them.
//!
//! Valgrind's memcheck follows, bit by bit, what has been computed from undefined memory, and reports each conditional jump and each
//! address that depends on it. Here the secrets are declared undefined, so what it reports is what a clock could tell of them.
//!
//! ```sh
//! cargo run --release -p phantom-core --example constant_time
//! ```
//!
//! The rules:
//!
//! * Secret are the passphrase, a generated key, and all that a side draws at random: so are scalars, K, ISK, every key and tag.
//! * What is sent is public from the moment it is sent: shares, CONFIRM, records.
//! * An outcome is public: code may branch on a verdict. Each step below says how many jumps it may have at most; nearly all have none.
//! * Controls that leak must be caught, or the check itself is broken.
//!
//! On x86-64 only, whose sequence for requests to Valgrind it knows. Not covered: how long an instruction takes (a multiplication or a division on some processors), caches behind equal addresses, and
//! reading the text of a key, which goes character by character through what a person has just typed.

use std::hint::black_box;
use std::process::{Command, ExitCode};

use phantom_core::crypto::cpace::CpaceState;
use phantom_core::crypto::exchange::{Exchange, Inputs, Secured, Verdict};
use phantom_core::crypto::record::{HEADER, TAG};
use phantom_core::crypto::schedule::Root;
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::rng::Rng;

/// A request of the program to the Valgrind it runs under; 0 without one.
#[cfg(target_arch = "x86_64")]
fn valgrind(request: usize, first: usize, second: usize) -> usize {
    let arguments = [request, first, second, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: this is the sequence of the client request mechanism: four rotations that add up to nothing, and an exchange of a
    // register with itself. It changes no register but the answer's, and no memory that Rust knows of.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
        );
    }
    answer
}

#[cfg(not(target_arch = "x86_64"))]
fn valgrind(_request: usize, _first: usize, _second: usize) -> usize {
    0
}

const RUNNING: usize = 0x1001;
const ERRORS: usize = 0x1201;
/// The requests of memcheck begin here.
const MEMCHECK: usize = 0x4d43_0000;

/// From here on `bytes` are secret.
fn secret(bytes: &[u8]) {
    valgrind(MEMCHECK + 1, bytes.as_ptr() as usize, bytes.len());
}

/// From here on `bytes` are public.
fn public(bytes: &[u8]) {
    valgrind(MEMCHECK + 2, bytes.as_ptr() as usize, bytes.len());
}

/// A value of which only the outcome of a branch is known to Valgrind.
fn outcome(bit: bool) -> bool {
    let byte = [u8::from(bit)];
    public(&byte);
    byte[0] == 1
}

/// The steps, and whether any had more jumps than it may have.
struct Report {
    failed: bool,
}

impl Report {
    /// A step with at most so many jumps that depend on secrets.
    fn step<T>(&mut self, what: &str, jumps: usize, act: impl FnOnce() -> T) -> T {
        self.count(what, act, |seen| seen <= jumps, &format!("at most {jumps}"))
    }

    /// A step that leaks, to see it caught.
    fn leak<T>(&mut self, what: &str, act: impl FnOnce() -> T) -> T {
        self.count(what, act, |seen| seen > 1, "a leak, to be caught")
    }

    fn count<T>(
        &mut self,
        what: &str,
        act: impl FnOnce() -> T,
        good: impl Fn(usize) -> bool,
        want: &str,
    ) -> T {
        let before = valgrind(ERRORS, 0, 0);
        let result = black_box(act());
        let seen = valgrind(ERRORS, 0, 0) - before;
        let word = if good(seen) { "ok" } else { "FAILED" };
        self.failed |= !good(seen);
        println!("{word:7} {what}: {seen} jumps or addresses depend on secrets ({want})");
        result
    }
}

/// A generator whose every byte is secret.
fn secret_rng(number: u8) -> Rng {
    let seed = [number; 32];
    secret(&seed);
    Rng::from_seed(black_box(&seed))
}

fn inputs(role: Role) -> Inputs {
    Inputs {
        role,
        version: 1,
        id_connector: *b"AF83X1",
        id_acceptor: *b"sgqGf4",
        nonce_connector: [3; 16],
        nonce_acceptor: [4; 16],
        run: 1,
        caps: 20,
    }
}

/// The exchange with a generated key, from the key to an opened record.
fn exchange(report: &mut Report) {
    let key = report.step("a generated key", 0, || EncryptionKey::generate(&mut secret_rng(1)));
    let same = report.step("two keys are compared", 0, || key.same_as(&key.clone()));
    assert!(outcome(same), "a key is itself");
    let [a, b] = [Role::Connector, Role::Acceptor].map(|role| {
        let mut rng = secret_rng(2 + role as u8);
        report.step("SHARE", 0, || Exchange::start(inputs(role), &key, &mut rng))
    });
    let (share_a, share_b) = (a.share(), b.share());
    public(&share_a);
    public(&share_b);
    let (ad_a, ad_b) = (a.ad(), b.ad());
    let mut finish = |side: Exchange, share: &[u8; 32], ad: &[u8; 24]| {
        report.step("the other SHARE", FINISH_UNKNOWN, || side.finish(share, ad)).ok()
    };
    let confirming = (finish(a, &share_b, &ad_b), finish(b, &share_a, &ad_a));
    let (Some(a), Some(b)) = confirming else { unreachable!("honest shares are good") };
    let (confirm_a, confirm_b) = (a.confirm(), b.confirm());
    for (check, tag) in [&confirm_a, &confirm_b] {
        public(check);
        public(tag);
    }
    let mut wrong = confirm_a.1;
    wrong[0] ^= 1;
    let judged = report.step("a wrong CONFIRM", JUDGE, || b.judge(&confirm_a.0, &wrong));
    assert!(matches!(judged, Verdict::KeysDiffer), "it is wrong");
    let judged = report.step("a right CONFIRM", JUDGE, || a.judge(&confirm_b.0, &confirm_b.1));
    let Verdict::Secured(secured) = judged else { unreachable!("it is right") };
    records(report, *secured);
}

/// K may not be the identity: the one jump that CPace demands.
const FINISH: usize = 1;
/// The same inside an exchange. Its own share was sent, but the copy that it keeps cannot be declared public from outside; it is compared
/// with the other share, and the two are put in order.
const FINISH_UNKNOWN: usize = 8;
/// The verdict: whether the check is right, which is public, but made of that copy, and whether the tag is.
const JUDGE: usize = 2;
/// The verdict on a record, which is public: looked at by the cipher, and by who asked it.
const REFUSED: usize = 2;

fn records(report: &mut Report, mut session: Secured) {
    let mut record = [7; HEADER + 100 + TAG];
    let sealed = report.step("a record is sealed", 0, || session.data_tx.seal(&mut record).is_ok());
    assert!(outcome(sealed), "it has the size of one");
    public(&record);
    // To its sender it is a record of somebody else.
    let opened = report.step("a record is refused", REFUSED, || session.data_rx.open(&mut record).is_ok());
    assert!(!outcome(opened), "it is of the other direction");
}

/// The exchange and the key schedule with a passphrase of secret bytes.
fn passphrase(report: &mut Report) {
    let prs = *b"\x0dphantom-key/1\x01\x00\x0aABCDE12345";
    secret(&prs);
    let prs = black_box(prs);
    let cpace = report.step("a share of a passphrase", 0, || {
        CpaceState::start(&prs, b"ci", b"sid", b"a", &mut secret_rng(8))
    });
    public(cpace.share());
    let other = CpaceState::start(b"another", b"ci", b"sid", b"b", &mut Rng::from_seed(&[9; 32]));
    let output = report.step("its shared secret", FINISH, || cpace.finish(other.share(), b"b")).ok();
    let output = output.expect("an honest share is good");
    let keys = report.step("the key schedule", 0, || {
        Root::new(&output.isk, &output.sid_output, &prs).split(Role::Connector)
    });
    report.step("a tag", 0, || keys.confirm_own.tag(&[1; 32], b"ad"));
}

/// Mistakes, as they are made.
fn controls(report: &mut Report) {
    let tag = [5_u8; 32];
    secret(&tag);
    let tag = black_box(tag);
    let guess = black_box([5_u8; 32]);
    report.leak("a comparison that stops at the first difference", || {
        for index in 0..32 {
            if black_box(tag[index]) != guess[index] {
                return false;
            }
        }
        true
    });
    let table: Vec<u8> = (0..=255).collect();
    report.leak("a table, by secret bytes", || {
        tag.iter().map(|&byte| black_box(&table)[usize::from(byte)]).max()
    });
    report.leak("a multiplication that skips zeros", || {
        let mut sum = 0_u64;
        for &byte in &tag {
            for bit in 0..8 {
                if black_box(byte) >> bit & 1 == 1 {
                    sum = black_box(sum + 3);
                }
            }
        }
        sum
    });
}

fn main() -> ExitCode {
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("not checked: how to speak to Valgrind is known for x86-64 only");
        return ExitCode::FAILURE;
    }
    if valgrind(RUNNING, 0, 0) == 0 {
        let program = std::env::current_exe().expect("a program has a path");
        let run = Command::new("valgrind")
            .args(["--quiet", "--error-limit=no", "--log-file=/dev/null"])
            .arg(program)
            .status();
        return match run {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("valgrind cannot be run ({error}); install it");
                ExitCode::FAILURE
            }
        };
    }
    let mut report = Report { failed: false };
    exchange(&mut report);
    passphrase(&mut report);
    controls(&mut report);
    if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
