//! Addresses of servers: one spelling, and no token in clear text by accident.

use roost::transport::{AddressError, origin};

fn refused_as_insecure(address: &str) {
    assert_eq!(origin(address, false), Err(AddressError::Insecure(address.to_owned())), "{address}");
}

#[test]
fn https_goes_anywhere() {
    for (address, expected) in [
        ("https://roost.example", "https://roost.example"),
        ("https://roost.example/", "https://roost.example"),
        ("https://roost.example:8443", "https://roost.example:8443"),
        ("https://192.0.2.7", "https://192.0.2.7"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ] {
        for allow_http in [false, true] {
            assert_eq!(origin(address, allow_http).as_deref(), Ok(expected), "{address}");
        }
    }
}

#[test]
fn http_stays_on_this_machine() {
    for (address, expected) in [
        ("http://localhost:7070", "http://localhost:7070"),
        ("http://localhost", "http://localhost"),
        ("http://127.0.0.1:7070/", "http://127.0.0.1:7070"),
        ("http://127.8.9.10:7070", "http://127.8.9.10:7070"),
        ("http://[::1]:7070", "http://[::1]:7070"),
    ] {
        assert_eq!(origin(address, false).as_deref(), Ok(expected), "{address}");
    }
}

#[test]
fn http_beyond_this_machine_is_refused() {
    for address in [
        "http://roost.example",
        "http://roost.example:7070/",
        "http://192.168.1.10:7070",
        "http://0.0.0.0:7070",
        "http://[::]:7070",
        "http://[2001:db8::1]:7070",
    ] {
        refused_as_insecure(address);
    }
}

#[test]
fn what_only_looks_like_this_machine_is_refused() {
    for address in [
        "http://localhost.evil.example",
        "http://notlocalhost:7070",
        "http://127.0.0.1.evil.example",
        "http://128.0.0.1",
    ] {
        refused_as_insecure(address);
    }
}

#[test]
fn http_goes_where_it_is_allowed() {
    for (address, expected) in [
        ("http://roost.example:7070/", "http://roost.example:7070"),
        ("http://192.168.1.10", "http://192.168.1.10"),
        ("http://127.0.0.1:7070", "http://127.0.0.1:7070"),
    ] {
        assert_eq!(origin(address, true).as_deref(), Ok(expected), "{address}");
    }
}

#[test]
fn one_server_has_one_spelling() {
    for (address, expected) in [
        ("https://roost.example:443", "https://roost.example"),
        ("https://roost.example:80", "https://roost.example:80"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
        ("HTTPS://Roost.EXAMPLE:443/", "https://roost.example"),
        ("HTTP://LOCALHOST:7070", "http://localhost:7070"),
        ("http://127.1:7070", "http://127.0.0.1:7070"),
        ("http://[0:0:0:0:0:0:0:1]:7070", "http://[::1]:7070"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ] {
        assert_eq!(origin(address, false).as_deref(), Ok(expected), "{address}");
    }
}

#[test]
fn junk_is_no_address_whatever_is_allowed() {
    for address in [
        "",
        " ",
        "roost.example",
        "localhost:7070",
        "//roost.example",
        "https://",
        "https://:8443",
        "https://roost.example:65536",
        "https://roost example",
        "https://[::1",
        "ftp://roost.example",
        "ws://127.0.0.1:7070",
        "wss://roost.example",
        "file:///tmp/roost",
        "mailto:roost@roost.example",
        "javascript:alert(1)",
    ] {
        for allow_http in [false, true] {
            assert_eq!(origin(address, allow_http), Err(AddressError::Malformed(address.to_owned())), "{address}");
        }
    }
}

/// A path, a query or a name before the host would be dropped in silence, or mislead a reader.
#[test]
fn an_address_is_scheme_host_and_port() {
    for address in [
        "http://127.0.0.1@evil.example",
        "http://localhost:7070@evil.example",
        "https://roost.example/prefix",
        "https://roost.example/?x=1",
        "https://user:word@roost.example",
    ] {
        assert_eq!(origin(address, true), Err(AddressError::Malformed(address.to_owned())), "{address}");
    }
}
