//! The two ways to a server: requests, and one live socket. A driver brings both; [`server`] says what goes over them.

pub mod server;

use std::pin::Pin;
use std::sync::Arc;

use roost_shared::{Code, WorkspaceId};
use url::Url;

/// A future that may go to another thread where there are threads.
#[cfg(not(target_family = "wasm"))]
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A future; in a browser it stays on its thread.
#[cfg(target_family = "wasm")]
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks for a change.
    Post,
    /// Takes back.
    Delete,
}

/// A request to a server.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers besides those that follow from the body.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, if it has a body.
    pub body: Option<Vec<u8>>,
    /// The longest body of an answer that is read, in bytes.
    pub answer_max: usize,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// News of a live socket.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Vec<u8>),
    /// The socket is closed; the code, if the close frame's number has one.
    Closed(Option<Code>),
}

/// Asked from any thread: true for a socket with messages that were not taken yet.
pub type Unheard = Arc<dyn Fn() -> bool + Send + Sync>;

/// An open socket. Dropping it closes it.
pub trait Socket: Send {
    /// Puts a message on its way; false when the socket cannot take it.
    fn send(&mut self, message: Vec<u8>) -> bool;

    /// The next thing the socket brings. Dropping the future loses nothing.
    fn heard(&mut self) -> Pending<'_, Heard>;

    /// The question whether the socket has messages that were not taken yet.
    fn unheard(&self) -> Unheard;

    /// Says what was to be said, and ends.
    fn close(self: Box<Self>) -> Pending<'static, ()>;
}

/// A way to servers: a time limit for each request, no redirects, no more of an answer than is asked for.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and reads the answer.
    fn request(&self, request: Request) -> Pending<'static, Result<Reply, TransportError>>;

    /// Opens the live socket of a workspace. The token is shown so that the server charges this device for it, and not all
    /// who share its address; what lets the device in is Hello.
    fn connect(
        &self,
        server: &str,
        workspace: WorkspaceId,
        token: &str,
    ) -> Pending<'static, Result<Box<dyn Socket>, TransportError>>;
}

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
