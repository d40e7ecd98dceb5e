//! Every setting, read and checked once.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use roost_shared::Fault;
use roost_shared::limits::TOKEN_LIFE_MAX_S;
use secrecy::{SecretSlice, SecretString};

use crate::access::keyring::KeyError;
use crate::access::{Access, InFlight, KeyRing, SECRET_MIN};
use crate::store::SharedStore;
use crate::store::sqlite::{OpenError, SqliteStore};

/// What `serve` takes on the command line. Every flag has an environment variable.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, env = "ROOST_LISTEN", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
    /// Where the database and the token secret lie
    #[arg(long, env = "ROOST_DATA_DIR", default_value = "roost-data")]
    pub data_dir: PathBuf,
    /// sqlite:FILE; without it, log.db in the data directory
    #[arg(long, env = "ROOST_DATABASE")]
    pub database: Option<String>,
    /// Who may create workspaces
    #[arg(long, env = "ROOST_ADMISSION", value_enum, default_value = "open")]
    pub admission: AdmissionMode,
    /// With --admission key: a file with the key that creators must show
    #[arg(long, env = "ROOST_ADMISSION_KEY_FILE")]
    pub admission_key_file: Option<PathBuf>,
    /// Scheme, host and port by which devices reach this server; without it, http:// and the listen address
    #[arg(long, env = "ROOST_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Envelope bytes one workspace may store
    #[arg(long, env = "ROOST_QUOTA_BYTES", default_value_t = 1 << 30)]
    pub quota_bytes: u64,
    /// Bytes of requests and Hellos that may be unfinished at once: of all who show no token, and as many of all who do
    #[arg(long, env = "ROOST_IN_FLIGHT_BYTES", default_value_t = 64 << 20)]
    pub in_flight_bytes: usize,
    /// How many of them one address or one device may have; 12 MiB at the least
    #[arg(long, env = "ROOST_IN_FLIGHT_BYTES_EACH", default_value_t = 16 << 20)]
    pub in_flight_bytes_each: usize,
    /// A folder of keys that tokens are signed with and checked against: KID.secret, KID.ed25519.pem,
    /// KID.ed25519.pub.pem, KID.rs256.pub.pem; without it, token.secret in the data directory
    #[arg(long, env = "ROOST_TOKEN_KEYS", requires = "token_kid")]
    pub token_keys: Option<PathBuf>,
    /// With --token-keys: the kid of the key that signs
    #[arg(long, env = "ROOST_TOKEN_KID")]
    pub token_kid: Option<String>,
    /// Seconds an access token lives, a day at the most
    #[arg(long, env = "ROOST_TOKEN_LIFE_S", default_value_t = 3_600)]
    pub token_life_s: u64,
}

/// Who may create workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdmissionMode {
    /// Anyone.
    Open,
    /// Who shows the key.
    Key,
    /// Nobody.
    Closed,
}

/// The same, with the key.
pub enum Admission {
    /// Anyone.
    Open,
    /// Who shows this key.
    Key(SecretString),
    /// Nobody.
    Closed,
}

/// What a running server needs.
pub struct Config {
    /// Tokens and proofs.
    pub access: Access,
    /// Who may create workspaces.
    pub admission: Admission,
    /// Bytes that may be unfinished at once.
    pub in_flight: InFlight,
}

/// A setting is wrong; the text says which and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file of the data directory.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The machine is in the way of a file of the data directory.
    #[error("{path}: {fault}")]
    Fault {
        /// Which.
        path: PathBuf,
        /// What.
        fault: Fault,
    },
    /// The secret.
    #[error(
        "{path}: {problem}; remove the file to have a new one made (devices then ask for new tokens by themselves)"
    )]
    Secret {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key file.
    #[error("--token-keys: {0}")]
    Keys(#[from] KeyError),
    /// The database.
    #[error("--database {0}: this server keeps sqlite:FILE")]
    Database(String),
    /// The key.
    #[error("--admission key needs --admission-key-file with at least 16 characters in it")]
    AdmissionKey,
    /// The bytes that may be unfinished.
    #[error(
        "--in-flight-bytes-each needs 12 MiB or more, and --in-flight-bytes as many at least: else the longest chain never comes in"
    )]
    InFlight,
    /// The name.
    #[error("--public-url {0}: give scheme, host and port, such as https://sync.example.org")]
    PublicUrl(String),
    /// The address.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl ConfigError {
    fn of_io(path: &Path, source: std::io::Error) -> Self {
        match Fault::of_io(&source) {
            Some(fault) => Self::Fault { path: path.to_owned(), fault },
            None => Self::Io { path: path.to_owned(), source },
        }
    }

    /// The fault of the machine that it tells of, if it does.
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault { fault, .. } => Some(*fault),
            Self::Open(error) => error.fault(),
            _ => None,
        }
    }
}

impl Settings {
    /// Opens the store these settings name.
    pub async fn open_store(&self) -> Result<SharedStore, ConfigError> {
        make_private_dir(&self.data_dir)?;
        let path = match &self.database {
            None => self.data_dir.join("log.db"),
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) => PathBuf::from(path.trim_start_matches("//")),
                None => return Err(ConfigError::Database(redacted(url))),
            },
        };
        Ok(Arc::new(SqliteStore::open(&path, self.quota_bytes).await?))
    }

    /// Checks the rest, for a server that listens on `listening`.
    pub fn config(&self, listening: SocketAddr) -> Result<Config, ConfigError> {
        let admission = match self.admission {
            AdmissionMode::Open => Admission::Open,
            AdmissionMode::Closed => Admission::Closed,
            AdmissionMode::Key => Admission::Key(self.admission_key()?),
        };
        let (all, each) = (self.in_flight_bytes, self.in_flight_bytes_each);
        if !InFlight::is_enough(all, each) {
            return Err(ConfigError::InFlight);
        }
        let audience = match &self.public_url {
            None => format!("http://{listening}"),
            Some(url) => audience(url).ok_or_else(|| ConfigError::PublicUrl(url.clone()))?,
        };
        make_private_dir(&self.data_dir)?;
        let path = self.data_dir.join("token.secret");
        let secret = secret(&path)?;
        let access = Access::new(audience, &secret, self.token_life_s.clamp(1, TOKEN_LIFE_MAX_S))
            .map_err(|problem| ConfigError::Secret { path, problem })?;
        let access = match (&self.token_keys, &self.token_kid) {
            (Some(folder), Some(kid)) => access.with_keys(KeyRing::open(folder, kid)?),
            _ => access,
        };
        Ok(Config { access, admission, in_flight: InFlight::new(all, each) })
    }

    fn admission_key(&self) -> Result<SecretString, ConfigError> {
        let path = self.admission_key_file.as_ref().ok_or(ConfigError::AdmissionKey)?;
        let text = fs::read_to_string(path).map_err(|source| ConfigError::of_io(path, source))?;
        let key = text.trim();
        if key.len() < 16 { Err(ConfigError::AdmissionKey) } else { Ok(key.to_owned().into()) }
    }
}

/// Scheme, host and port, in lower case, with nothing after.
fn audience(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    (!host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])).then_some(url)
}

/// The scheme is enough to see what went wrong; what follows may hold a password.
fn redacted(url: &str) -> String {
    let scheme = url.split(':').next().unwrap_or_default();
    format!("{scheme}:…")
}

fn make_private_dir(path: &Path) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::of_io(path, source);
    if !path.exists() {
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Reads the token secret, or makes it on the first start: 32 random bytes, readable by this user alone.
fn secret(path: &Path) -> Result<SecretSlice<u8>, ConfigError> {
    let failed = |source| ConfigError::of_io(path, source);
    let wrong = |problem| ConfigError::Secret { path: path.to_owned(), problem };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut bytes = [0; SECRET_MIN];
            getrandom::fill(&mut bytes).map_err(|error| failed(error.into()))?;
            let written = file.write_all(URL_SAFE_NO_PAD.encode(bytes).as_bytes()).and_then(|()| file.sync_all());
            if let Err(error) = written {
                let _ = fs::remove_file(path); // half a secret would stand in the way of the next start
                return Err(failed(error));
            }
            Ok(bytes.to_vec().into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut text = String::new();
            let mut file = fs::File::open(path).map_err(failed)?;
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(wrong("others may read it: chmod 600 it"));
            }
            file.read_to_string(&mut text).map_err(failed)?;
            let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| wrong("it is not base64url"))?;
            Ok(bytes.into())
        }
        Err(source) => Err(failed(source)),
    }
}
