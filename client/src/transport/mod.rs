//! The two ways to a server: requests, and one live socket.

mod carry;
pub mod http;
pub mod websocket;

use roost_shared::Code;
use url::Url;

/// The server did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection, or none in time.
    #[error("the server cannot be reached ({0}): everything is safe here, and syncs when it can be")]
    Unreachable(String),
    /// It answered, and refused.
    #[error("the server refused: {detail} ({code})")]
    Refused {
        /// Why.
        code: Code,
        /// What it says.
        detail: String,
        /// When to try again; 0 if it did not say.
        retry_after_ms: u64,
    },
    /// It answered with something else than Roost's protocol.
    #[error("this does not look like a Roost server: {0}")]
    NotRoost(String),
    /// It calls itself by another name than the device knows it by.
    #[error(
        "the server at {ours} calls itself {theirs}, and a device signs the name it knows a server by: use that address (--server {theirs}) if it is the same server, or start the server with --public-url {ours}"
    )]
    Audience {
        /// The address the device has.
        ours: String,
        /// The name the server gives.
        theirs: String,
    },
}

impl TransportError {
    /// The code, if the server gave one.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Audience { .. } => Some(Code::AudienceMismatch),
            Self::Unreachable(_) | Self::NotRoost(_) => None,
        }
    }

    /// What it means to a person who waits for sync. That a server does not know this device, or its workspace, is no
    /// verdict while the device brings it what it may have lost.
    pub fn while_syncing(&self) -> String {
        match self {
            Self::Refused { code: code @ (Code::NotFound | Code::NotAllowed | Code::ProofInvalid), .. } => {
                format!("the server does not know this device or its workspace, and is brought what it lacks ({code})")
            }
            other => other.to_string(),
        }
    }

    /// When to try again; 0 if nobody said.
    pub const fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Refused { retry_after_ms, .. } => *retry_after_ms,
            Self::Unreachable(_) | Self::NotRoost(_) | Self::Audience { .. } => 0,
        }
    }
}

/// An address that is no server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL.
    #[error("{0} is not an address: it reads https://HOST or http://127.0.0.1:7070")]
    Malformed(String),
    /// Clear text beyond this machine.
    #[error(
        "{0} would send tokens in clear text across the network: use https://, or say that it is meant (--allow-http)"
    )]
    Insecure(String),
}

/// Scheme, host and port of a server, in the one spelling that proofs are made over.
pub fn origin(address: &str, allow_http: bool) -> Result<String, AddressError> {
    let malformed = || AddressError::Malformed(address.to_owned());
    let url = Url::parse(address).map_err(|_| malformed())?;
    let host = url.host().ok_or_else(malformed)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
    if !is_bare {
        return Err(malformed()); // a path would be dropped in silence
    }
    let is_loopback = match host {
        url::Host::Domain(domain) => domain == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback || allow_http => {}
        "http" => return Err(AddressError::Insecure(address.to_owned())),
        _ => return Err(malformed()),
    }
    Ok(url.origin().ascii_serialization())
}
