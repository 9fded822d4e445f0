//! The settings of `phantom-relay`: one name in three places, who overrules whom, and what is said about wrong ones.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// For each key a value that is not its default, as a word and as it is written in the file.
const OTHERS: &[(&str, &str, &str)] = &[
    ("listen", "127.0.0.1:1,unix:/run/p.socket", r#"["127.0.0.1:1", "unix:/run/p.socket"]"#),
    ("listen_tls", "[::1]:1,localhost:2", r#"["[::1]:1", "localhost:2"]"#),
    ("tls_certificate", "/somewhere/chain.pem", r#""/somewhere/chain.pem""#),
    ("tls_key", "/somewhere/key.pem", r#""/somewhere/key.pem""#),
    ("client_address", "x-forwarded-for", r#""x-forwarded-for""#),
    ("trusted_proxies", "10.0.0.0/8,::1", r#"["10.0.0.0/8", "::1"]"#),
    ("access_tokens", "/somewhere/tokens", r#""/somewhere/tokens""#),
    ("allowed_origins", "https://example.org,*.example.net", r#"["https://example.org", "*.example.net"]"#),
    ("allow", "192.0.2.7", r#"["192.0.2.7"]"#),
    ("deny", "2001:db8::/32", r#"["2001:db8::/32"]"#),
    ("max_connections_per_address", "5", "5"),
    ("connections_per_second_per_address", "0", "0"),
    ("connection_burst_per_address", "6", "6"),
    ("memory", "1GiB", r#""1 GiB""#),
    ("max_connections", "77", "77"),
    ("max_handshakes", "78", "78"),
    ("max_channels", "7", "7"),
    ("max_requests_out", "8", "8"),
    ("max_requests_in", "9", "9"),
    ("max_requests_per_source", "65", "65"),
    ("max_sources", "11", "11"),
    ("max_pairs", "300000", "300000"),
    ("max_retired", "10", "10"),
    ("receiver_buffer", "4MiB", r#""4 MiB""#),
    ("receiver_buffer_low", "256 KiB", r#""256 KiB""#),
    ("control_buffer", "65537", r#""65537""#),
    ("client_bytes_per_second", "10 MiB", r#""10 MiB""#),
    ("client_messages_per_second", "0", "0"),
    ("request_pace", "11+1/6s", r#""11+1/6s""#),
    ("request_pace_per_source", "12 + 1/1m", r#""12+1/1m""#),
    ("request_pace_per_pair", "0+1/1s", r#""0+1/1s""#),
    ("prompt_pace", "13+1/0s", r#""13+1/0s""#),
    ("exact_answer_pace", "14+1/250ms", r#""14+1/250ms""#),
    ("exact_answer_pace_in_all", "15+1/1h30m", r#""15+1/1h30m""#),
    ("handshake_timeout", "11s", r#""11s""#),
    ("register_timeout", "12s", r#""12s""#),
    ("idle_timeout", "13m", r#""13m""#),
    ("stall_timeout", "14s", r#""14s""#),
    ("channel_stall_timeout", "15s", r#""15s""#),
    ("request_lifetime", "16s", r#""16s""#),
    ("rejoin_lifetime", "17s", r#""17s""#),
    ("retired_for", "1h30m", r#""1h30m""#),
    ("token_lifetime", "13h", r#""13h""#),
    ("token_renewal", "19m", r#""19m""#),
    ("close_linger", "250ms", r#""250ms""#),
    ("secret_file", "/somewhere/secret", r#""/somewhere/secret""#),
    ("drain_timeout", "20s", r#""20s""#),
    ("come_back_after", "21s", r#""21s""#),
    ("metrics_listen", "[::1]:9464", r#""[::1]:9464""#),
    ("log_level", "debug", r#""debug""#),
    ("log_format", "json", r#""json""#),
    ("log_file", "/somewhere/log", r#""/somewhere/log""#),
    ("log_addresses", "true", "true"),
];

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phantom-relay"));
    command.env_clear();
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it prints when all is well.
fn printed(command: &mut Command) -> String {
    let output = command.arg("--print-config").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{command:?}");
    text(&output.stdout)
}

/// A key's line: its value, and where that comes from.
fn line<'a>(printed: &'a str, key: &str) -> (&'a str, &'a str) {
    let of_key = |line: &'a str| line.strip_prefix(key)?.strip_prefix(" = ")?.split_once("  # ");
    printed.lines().find_map(of_key).unwrap_or_else(|| panic!("{key} is not in\n{printed}"))
}

/// All keys, those without a value as well.
fn keys(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .filter(|line| !line.starts_with("# "))
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, _)| key.trim_start_matches('#'))
        .collect()
}

fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

fn variable(key: &str) -> String {
    format!("PHANTOM_RELAY_{}", key.to_ascii_uppercase())
}

fn other(key: &str) -> (&'static str, &'static str) {
    let (_, word, toml) =
        OTHERS.iter().find(|row| row.0 == key).unwrap_or_else(|| panic!("no value for {key}"));
    (word, toml)
}

/// What must be set as well, lest the setting contradict another.
fn companions(key: &str) -> &'static [&'static str] {
    match key {
        "client_address" => &["--trusted-proxies", "127.0.0.1"],
        "trusted_proxies" => &["--client-address", "proxy-protocol"],
        "listen_tls" | "tls_key" => &["--tls-certificate", "/somewhere/chain.pem"],
        _ => &[],
    }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("relay.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

fn with_file(path: &Path) -> Command {
    let mut command = program();
    command.arg("--config").arg(path);
    command
}

/// Status 2, nothing on stdout, and these lines on stderr.
fn refuses(output: &Output, sentences: &[String]) {
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
    let expected: String = sentences.iter().map(|line| format!("phantom-relay: {line}\n")).collect();
    assert_eq!(said, expected);
}

#[test]
fn every_setting_is_set_by_its_flag_its_variable_and_its_key() {
    let folder = Folder::new();
    let defaults = printed(&mut program());
    let mut tested = 0;
    for key in keys(&defaults) {
        let (word, toml) = other(key);
        if defaults.lines().any(|line| line.starts_with(&format!("{key} = "))) {
            assert_ne!(line(&defaults, key).0, toml, "{key}");
            assert_eq!(line(&defaults, key).1, "default");
        }
        let by_flag = printed(program().arg(format!("{}={word}", flag(key))).args(companions(key)));
        assert_eq!(line(&by_flag, key), (toml, "command line"));
        let by_variable = printed(program().env(variable(key), word).args(companions(key)));
        assert_eq!(line(&by_variable, key), (toml, variable(key).as_str()));
        let path = folder.file(&format!("\n{key} = {toml}\n"));
        let by_file = printed(with_file(&path).args(companions(key)));
        assert_eq!(line(&by_file, key), (toml, format!("{}, line 2", path.display()).as_str()));
        tested += 1;
    }
    assert_eq!(tested, OTHERS.len(), "a key of this test is no setting");
}

#[test]
fn a_flag_overrules_a_variable_and_a_variable_the_file() {
    let folder = Folder::new();
    let path = folder.file("max_connections = 1\nmax_channels = 1\nmax_requests_in = 1\n");
    let mut command = program();
    command.env("PHANTOM_RELAY_CONFIG", &path);
    for key in ["max_channels", "max_requests_in"] {
        command.env(variable(key), "2");
    }
    let printed = printed(command.args(["--max-requests-in", "3"]));
    assert_eq!(
        ["max_connections", "max_channels", "max_requests_in"].map(|key| line(&printed, key).0),
        ["1", "2", "3"]
    );
}

#[test]
fn what_is_printed_is_accepted_and_printed_again() {
    let folder = Folder::new();
    let mut command = program();
    for (key, word, _) in OTHERS {
        command.env(variable(key), word);
    }
    let first = printed(&mut command);
    let path = folder.file(&first);
    let second = printed(&mut with_file(&path));
    let values = |printed: &str| -> Vec<String> {
        printed.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&first), values(&second));
    assert_eq!(keys(&second).len(), OTHERS.len());
}

#[test]
fn lists_are_arrays_repeated_flags_or_words_with_commas() {
    let printed = printed(program().args(["--listen", "127.0.0.1:1", "--listen", "localhost:2, [::1]:3"]));
    assert_eq!(line(&printed, "listen").0, r#"["127.0.0.1:1", "localhost:2", "[::1]:3"]"#);
    let nowhere = self::printed(program().env("PHANTOM_RELAY_LISTEN", ""));
    assert_eq!(line(&nowhere, "listen").0, "[]");
}

#[test]
fn the_example_file_has_every_key_and_is_up_to_date() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/phantom-relay.toml");
    let commented = |line: &str| match line.split_once("  # default") {
        Some((setting, _)) => format!("#{setting}\n"),
        None => format!("{line}\n"),
    };
    let head = "# Settings of phantom-relay. Every key is here with its default; remove the # to change it.\n\
                # The same names work as flags (--max-connections) and variables (PHANTOM_RELAY_MAX_CONNECTIONS).\n\
                # To see what is wrong: phantom-relay --config FILE --check-config\n\n";
    let generated = head.to_owned() + &printed(&mut program()).lines().map(commented).collect::<String>();
    if std::env::var_os("PHANTOM_WRITE_EXAMPLE").is_some() {
        fs::write(&example, &generated).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&example).unwrap_or_default(),
        generated,
        "run this test once with PHANTOM_WRITE_EXAMPLE=1 and look at the difference"
    );
    assert_eq!(printed(&mut with_file(&example)), printed(&mut program()), "all of it is a comment");
    // Without the #, each line that has a value is the default again.
    let folder = Folder::new();
    let defaults = printed(&mut program());
    let is_set = |setting: &&str| defaults.contains(&format!("\n{setting}  # default\n"));
    let uncommented: Vec<&str> =
        generated.lines().filter_map(|line| line.strip_prefix('#')).filter(is_set).collect();
    assert_eq!(uncommented.len(), defaults.matches("# default\n").count());
    let set = printed(&mut with_file(&folder.file(&uncommented.join("\n"))));
    for setting in uncommented {
        assert!(set.contains(&format!("\n{setting}  # /")), "{setting}");
    }
}

#[test]
fn the_help_names_every_setting_and_fits_80_columns() {
    let output = program().arg("--help").output().unwrap();
    let help = text(&output.stdout);
    for (key, ..) in OTHERS {
        assert!(
            help.contains(&format!("{} <", flag(key))) || help.contains(&format!("{}[=", flag(key))),
            "{key}"
        );
    }
    for line in help.lines().chain(printed(&mut program()).lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_key_that_is_none_is_refused_by_name_with_the_one_that_was_meant() {
    let folder = Folder::new();
    for (key, meant) in [
        ("max_conections", "; did you mean `max_connections`?"),
        ("max-connections", "; did you mean `max_connections`?"),
        ("handshake_timout", "; did you mean `handshake_timeout`?"),
        ("Listen", "; did you mean `listen`?"),
        ("frobnicate", ""),
    ] {
        let path = folder.file(&format!("# a comment\n\n{key} = 5\n"));
        let output = with_file(&path).arg("--check-config").output().unwrap();
        refuses(&output, &[format!("{}, line 3, has the unknown key `{key}`{meant}", path.display())]);
    }
    let path = folder.file("[relay]\nlisten = []\n");
    let output = with_file(&path).arg("--check-config").output().unwrap();
    refuses(&output, &[format!("{}, line 1, has the unknown key `relay`", path.display())]);
}

#[test]
fn an_unknown_flag_is_one_sentence_too() {
    let output = program().args(["--max-conections", "5"]).output().unwrap();
    refuses(&output, &["unknown option --max-conections; did you mean --max-connections?".to_owned()]);
    let output = program().arg("extra").output().unwrap();
    refuses(&output, &["`extra` is not expected; --help says what is".to_owned()]);
}

#[test]
fn an_unknown_variable_is_named_and_does_no_harm() {
    // A cluster sets such ones for a service that is called phantom-relay.
    let mut command = program();
    command.env("PHANTOM_RELAY_PORT", "tcp://192.0.2.1:7777").env("PHANTOM_RELAY_MAX_CONECTIONS", "5");
    let output = command.arg("--check-config").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "configuration is good\n"),
        "{said}"
    );
    assert!(said.contains("the variable PHANTOM_RELAY_PORT is unknown and not used\n"), "{said}");
    assert!(said.contains("did you mean `PHANTOM_RELAY_MAX_CONNECTIONS`?"), "{said}");
}

#[test]
fn a_value_of_the_wrong_kind_is_one_sentence_with_its_name_wherever_it_comes_from() {
    let folder = Folder::new();
    let number = "a whole number";
    let time = "a time such as 250ms, 30s, 10m or 1h30m";
    let size = "a size such as 64 KiB, 512 MiB or 1000000";
    for (key, toml, wanted) in [
        ("max_connections", r#""many""#, number),
        ("max_connections", "1.5", number),
        ("max_connections", "true", number),
        ("max_connections", "-1", number),
        ("max_channels", "1000", number),
        ("idle_timeout", "30", time),
        ("idle_timeout", r#""30""#, time),
        ("idle_timeout", r#""soon""#, time),
        ("receiver_buffer", r#""2 MiBs""#, size),
        ("receiver_buffer", "-2", size),
        ("secret_file", "7", "the path of a file"),
        (
            "prompt_pace",
            r#""10/6s""#,
            "a pace such as 10+1/6s: ten times at once, and once more every six seconds",
        ),
        ("log_level", r#""loud""#, "one of error|warn|info|debug"),
        ("log_addresses", "1", "true or false"),
        ("metrics_listen", r#""9464""#, "an address with a port, for example 127.0.0.1:9464 or [::1]:9464"),
        ("secret_file", r#""""#, "the path of a file"),
    ] {
        let path = folder.file(&format!("\n{key} = {toml}\n"));
        let output = with_file(&path).output().unwrap();
        let shown = if toml == "1.5" { "a number with a fraction" } else { toml };
        refuses(&output, &[format!("{key} ({}, line 2) is {shown}, but must be {wanted}", path.display())]);
        if let Some(word) = toml.strip_prefix('"').and_then(|toml| toml.strip_suffix('"')) {
            let output = program().env(variable(key), word).output().unwrap();
            refuses(&output, &[format!("{} is {toml}, but must be {wanted}", variable(key))]);
            let output = program().arg(flag(key)).arg(word).output().unwrap();
            refuses(&output, &[format!("{} is {toml}, but must be {wanted}", flag(key))]);
        }
    }
    let path = folder.file("listen = \"127.0.0.1:1\"\n");
    let output = with_file(&path).output().unwrap();
    refuses(
        &output,
        &[format!(
            "listen ({}, line 1) is \"127.0.0.1:1\", but must be a list: [\"127.0.0.1:1\"]",
            path.display()
        )],
    );
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:70000", "::1:7777", "unix:relative", "a b:1"] {
        let output = program().args(["--listen", address]).output().unwrap();
        refuses(
            &output,
            &[format!(
                "--listen is \"{address}\", but must be an address as host:port, for example 127.0.0.1:7777 or [::]:7777, or unix:/path"
            )],
        );
    }
}

#[test]
fn a_value_out_of_range_says_the_range() {
    for (key, word, phrase) in [
        ("max_connections", "0", "is 0, but must be from 1 to 10000000"),
        ("handshake_timeout", "2h", "is 2h, but must be from 1s to 1h"),
        ("receiver_buffer", "1 KiB", "is 1 KiB, but must be from 64 KiB to 1 GiB"),
    ] {
        let output = program().arg(flag(key)).arg(word).output().unwrap();
        refuses(&output, &[format!("{} {phrase}", flag(key))]);
    }
}

#[test]
fn contradictions_name_both_settings_as_they_were_given() {
    let folder = Folder::new();
    let path = folder.file("receiver_buffer = \"1 MiB\"\n");
    let mut command = with_file(&path);
    command.env("PHANTOM_RELAY_TOKEN_RENEWAL", "2d");
    let output = command.args(["--receiver-buffer-low", "1 MiB"]).output().unwrap();
    refuses(
        &output,
        &[
            format!("--receiver-buffer-low must be less than receiver_buffer ({}, line 1)", path.display()),
            "PHANTOM_RELAY_TOKEN_RENEWAL must be less than token_lifetime".to_owned(),
        ],
    );
}

#[test]
fn what_is_useless_alone_says_what_is_missing() {
    for (key, word, missing) in [
        ("tls_key", "/somewhere/key.pem", "tls_certificate"),
        ("listen_tls", "127.0.0.1:0", "tls_certificate"),
    ] {
        let output = program().env(variable(key), word).output().unwrap();
        refuses(&output, &[format!("{} needs {missing}, which is not set", variable(key))]);
    }
    let output = program().args(["--listen", ""]).output().unwrap();
    refuses(&output, &["--listen and listen_tls are empty, so there is nowhere to listen".to_owned()]);
}

#[test]
fn a_wrong_network_or_origin_says_what_is_wrong_with_it() {
    for (key, word, phrase) in [
        (
            "deny",
            "192.0.2.1/24",
            "is wrong: \"192.0.2.1/24\" is an address inside a network; the network is 192.0.2.0/24",
        ),
        ("allowed_origins", "https://", "is wrong: "),
    ] {
        let output = program().arg(flag(key)).arg(word).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.starts_with(&format!("phantom-relay: {} {phrase}", flag(key))), "{said}");
    }
    let output = program().args(["--trusted-proxies", "10.0.0.1"]).output().unwrap();
    let phrase = "is useless while client_address is socket; say proxy-protocol or x-forwarded-for there";
    refuses(&output, &[format!("--trusted-proxies {phrase}")]);
}

#[test]
fn what_is_hardly_meant_is_said_and_does_no_harm() {
    for (arguments, words) in [
        (["--listen", "unix:/run/p.socket"], "all clients that come by a Unix socket count as one"),
        (["--max-pairs", "10"], "--max-pairs is less than max_connections times max_requests_out"),
        (["--client-address", "x-forwarded-for"], "--client-address believes nobody"),
    ] {
        let output = program().args(arguments).arg("--check-config").output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn under_systemd_the_secret_is_in_the_directory_for_state() {
    let mut command = program();
    command.env("STATE_DIRECTORY", "/var/lib/phantom-relay:/var/lib/other");
    let of_unit = (r#""/var/lib/phantom-relay/secret""#, "STATE_DIRECTORY");
    assert_eq!(line(&printed(&mut command), "secret_file"), of_unit);
    let mut command = program();
    command.env("STATE_DIRECTORY", "/var/lib/phantom-relay").args(["--secret-file", "/elsewhere"]);
    assert_eq!(line(&printed(&mut command), "secret_file"), (r#""/elsewhere""#, "command line"));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = Folder::new();
    let path = folder.file("max_conections = 1\nmax_channels = \"x\"\nmax_connections = = 5\n");
    let mut command = with_file(&path);
    let output =
        command.env("PHANTOM_RELAY_IDLE_TIMEOUT", "x").args(["--max-retired", "x"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    for word in [
        "max_conections",
        "max_channels",
        "line 3, is not TOML",
        "PHANTOM_RELAY_IDLE_TIMEOUT",
        "--max-retired",
    ] {
        assert_eq!(said.lines().filter(|line| line.contains(word)).count(), 1, "{word} in {said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_one_sentence() {
    let folder = Folder::new();
    let missing = folder.0.path().join("missing.toml");
    let output = with_file(&missing).output().unwrap();
    refuses(
        &output,
        &[format!("the settings file {} cannot be read: No such file or directory", missing.display())],
    );
}
