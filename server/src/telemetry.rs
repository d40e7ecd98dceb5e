//! Logs and the server's clock.

use std::io::IsTerminal as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::EnvFilter;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the server's one reader of OS time")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Structured logs on stderr; `ROOST_LOG` filters them (`info` unless set).
pub fn start_logs() {
    let filter = EnvFilter::try_from_env("ROOST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start (two servers in one test process) keeps the first's.
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let _ = logs.try_init();
}
