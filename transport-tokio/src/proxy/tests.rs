//! What is read, what is refused, and which relay goes which way.

use super::*;

fn relay(url: &str) -> RelayUrl {
    RelayUrl::parse(url).unwrap()
}

#[test]
fn reads_what_stands_there_and_fills_in_the_rest() {
    use ProxyKind::{Http, Socks5};
    for (text, kind, host, port, credentials) in [
        ("http://proxy.example:3128", Http, "proxy.example", 3128, None),
        ("proxy.example:3128", Http, "proxy.example", 3128, None),
        ("HTTP://proxy.example/", Http, "proxy.example", 80, None),
        ("socks5://[::1]:9050", Socks5, "::1", 9050, None),
        ("socks5h://[::1]", Socks5, "::1", 1080, None),
        ("socks5://me@proxy", Socks5, "proxy", 1080, Some(("me", ""))),
        ("http://me:p%40ss%3A%C3%A9@proxy:1", Http, "proxy", 1, Some(("me", "p@ss:é"))),
        ("http://me:a:b@c@proxy", Http, "proxy", 80, Some(("me", "a:b@c"))),
    ] {
        let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (kind, host, port), "{text}");
        let found = proxy.credentials.as_ref().map(|both| (both.user.as_str(), both.password.as_str()));
        assert_eq!(found, credentials, "{text}");
    }
}

#[test]
fn refuses_everything_else_with_the_reason_and_without_the_text() {
    for (text, reason) in [
        ("https://proxy", "over TLS"),
        ("socks4://proxy", "begin with"),
        ("http://", "host"),
        ("http://me:secret@", "host"),
        ("http://secret proxy", "host"),
        ("http://secret:0", "port"),
        ("http://secret:x", "port"),
        ("http://[::1]x", "port"),
        ("http://secret%:x@proxy", "%"),
        ("http://secret%ff@proxy", "UTF-8"),
    ] {
        match Proxy::parse(text).map(|proxy| proxy.to_string()) {
            Err(error @ Error::ProxyUrl { .. }) => {
                let sentence = error.to_string();
                assert!(sentence.contains(reason), "{text}: {sentence}");
                assert!(
                    !sentence.contains("secret") && !format!("{error:?}").contains("secret"),
                    "{sentence}"
                );
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_environment_is_read_like_everywhere() {
    let of = |variables: &[(&str, &str)], url: &str| {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::from_variables(variable).unwrap().of(&relay(url)).map(ToString::to_string)
    };
    let (ws, wss) = ("ws://relay.example", "wss://relay.example");
    assert_eq!(of(&[], ws), None);
    let all: &[_] = &[("HTTP_PROXY", "http:1"), ("HTTPS_PROXY", "https:2"), ("ALL_PROXY", "socks5://all:3")];
    assert_eq!(of(all, ws).as_deref(), Some("http:1"));
    assert_eq!(of(all, wss).as_deref(), Some("https:2"));
    assert_eq!(of(&all[2..], ws).as_deref(), Some("all:3"));
    assert_eq!(of(&all[2..], wss).as_deref(), Some("all:3"));
    assert_eq!(
        of(&[("https_proxy", "small:1"), ("HTTPS_PROXY", "great:2")], wss).as_deref(),
        Some("small:1")
    );
    assert_eq!(of(&[("https_proxy", " "), ("HTTPS_PROXY", "great:2")], wss).as_deref(), Some("great:2"));
    // Whoever sends a request to a CGI program must not choose its proxy.
    assert_eq!(of(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1")], ws), None);
    assert_eq!(of(&[("REQUEST_METHOD", "GET"), ("http_proxy", "good:1")], ws).as_deref(), Some("good:1"));
    assert_eq!(of(&[("ALL_PROXY", "p:1"), ("NO_PROXY", "x.example, relay.example")], wss), None);
    assert!(Proxies::from_variables(|name| (name == "all_proxy").then(|| "ftp://x".to_owned())).is_err());
}

#[test]
fn exceptions_match_names_below_addresses_networks_and_ports() {
    for (list, host, port, direct) in [
        ("", "relay.example", 80, false),
        ("*", "relay.example", 80, true),
        ("relay.example", "relay.example", 80, true),
        ("RELAY.example", "relay.EXAMPLE.", 80, true),
        ("example", "relay.example", 80, true),
        (".example", "relay.example", 80, true),
        ("*.example", "relay.example", 80, true),
        ("lay.example", "relay.example", 80, false),
        ("relay.example:81", "relay.example", 80, false),
        ("relay.example:80", "relay.example", 80, true),
        ("a, b,relay.example ", "relay.example", 80, true),
        ("10.0.0.1", "10.0.0.1", 80, true),
        ("10.0.0.1:81", "10.0.0.1", 80, false),
        ("10.0.0.0/8", "10.200.0.1", 80, true),
        ("10.0.0.0/8", "11.0.0.1", 80, false),
        ("0.0.0.0/0", "11.0.0.1", 80, true),
        ("10.0.0.0/99", "10.0.0.0", 80, false),
        ("::1", "::1", 80, true),
        ("[::1]:80", "::1", 80, true),
        ("fe80::/10", "fe80::7", 80, true),
        ("fe80::/10", "10.0.0.1", 80, false),
        (".", "relay.example", 80, false),
    ] {
        let mut exceptions = Exceptions::default();
        exceptions.add(list);
        assert_eq!(exceptions.contain(host, port), direct, "{list} and {host}:{port}");
    }
}
