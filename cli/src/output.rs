//! What is printed, and what a failure means to a script.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use roost::Code;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

const EXIT_ERROR: u8 = 1;
const EXIT_NOT_ALLOWED: u8 = 3;
const EXIT_ATTENTION: u8 = 4;
const EXIT_TEMPORARY: u8 = 75;

/// Text or JSON, on standard output.
pub struct Output {
    pub json: bool,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    code: String,
    message: String,
}

impl Failure {
    pub fn other(message: impl Display) -> Self {
        Self { exit: EXIT_ERROR, code: "error".to_owned(), message: message.to_string() }
    }

    /// Needs a person: what, and what to do.
    pub fn attention(code: &str, message: impl Display) -> Self {
        Self { exit: EXIT_ATTENTION, code: code.to_owned(), message: message.to_string() }
    }

    /// The server does not let this device in.
    pub fn not_allowed(code: Code) -> Self {
        let message = "the server does not let this device in: it was revoked, or the workspace is gone";
        Self { exit: EXIT_NOT_ALLOWED, code: code.to_string(), message: message.to_owned() }
    }

    /// Work is safe here; the server could not be reached, or not in time.
    pub fn temporary(message: impl Display) -> Self {
        Self { exit: EXIT_TEMPORARY, code: "timed_out".to_owned(), message: message.to_string() }
    }
}

impl From<roost::Error> for Failure {
    fn from(error: roost::Error) -> Self {
        let code = error.code();
        let exit = match code {
            "not_allowed" | "link_unavailable" | "admission_closed" | "token_invalid" | "proof_invalid"
            | "workspace_gone" | "not_owner" => EXIT_NOT_ALLOWED,
            "store_locked" => EXIT_ERROR,
            _ if error.is_retryable() => EXIT_TEMPORARY,
            _ => EXIT_ERROR,
        };
        Self { exit, code: code.to_owned(), message: error.to_string() }
    }
}

impl Output {
    /// Prints the object, or the text.
    pub fn print(&self, object: &Value, text: impl Display) {
        if self.json { line(object) } else { line(text) }
    }

    /// Says why on standard error, with `--json` also as an object, and gives the exit code.
    pub fn fail(&self, failure: &Failure) -> ExitCode {
        if self.json {
            line(json!({ "error": { "code": failure.code, "message": failure.message } }));
        }
        note(format!("roost: {}", failure.message));
        ExitCode::from(failure.exit)
    }
}

/// A line on standard output; a reader that went away is no error.
pub fn line(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

/// Exactly these bytes on standard output.
pub fn exactly(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// A line on standard error.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Progress of long work: a bar on a terminal, a line each whole percent elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    percent: u64,
}

impl Progress {
    pub fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, total, percent: 0 }
    }

    pub fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            return bar.set_position(done);
        }
        let percent = done * 100 / self.total.max(1);
        if percent > self.percent {
            self.percent = percent;
            note(format!("progress {done}/{} {percent}%", self.total));
        }
    }
}

/// Diagnostics on standard error; `ROOST_LOG` filters them (`warn` unless set).
pub fn start_logs() {
    let filter = EnvFilter::try_from_env("ROOST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let _ = logs.try_init();
}
