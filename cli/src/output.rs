//! Output of the commands, and the exit codes of failures. Everything a command says passes through here, line by line: what
//! others wrote is in many of them, and neither ends a line nor commands the terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};
use roost::{Code, Fault, Plain};
use serde_json::{Value, json};

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
    /// The SDK's patience ended, which by itself says nothing of the reason.
    is_late: bool,
}

impl Failure {
    fn new(exit: u8, code: &str, message: impl Display) -> Self {
        Self { exit, code: code.to_owned(), message: message.to_string(), is_late: false }
    }

    pub fn other(message: impl Display) -> Self {
        Self::new(EXIT_ERROR, "error", message)
    }

    /// Needs a person: what, and what to do.
    pub fn attention(code: &str, message: impl Display) -> Self {
        Self::new(EXIT_ATTENTION, code, message)
    }

    /// The server keeps this device out: why, and what to do.
    pub fn refused(code: Code, message: impl Display) -> Self {
        Self::new(exit_of(code.as_str(), code.is_retryable()), code.as_str(), message)
    }

    /// Work is safe here; the server could not be reached, or not in time.
    pub fn temporary(message: impl Display) -> Self {
        Self::new(EXIT_TEMPORARY, "timed_out", message)
    }

    /// A failure under a code that says more.
    pub fn coded(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    /// The machine is in the way: what, and what to do.
    pub fn of_fault(fault: Fault, message: impl Display) -> Self {
        Self::new(exit_of(fault.code(), fault.is_passing()), fault.code(), message)
    }

    /// A failure of a command that did part of its work: `done` says which.
    pub fn after(mut self, done: &str) -> Self {
        self.message = format!("{done}: {}", self.message);
        self
    }

    pub const fn is_late(&self) -> bool {
        self.is_late
    }
}

/// One exit code for each code, on whatever way it came.
fn exit_of(code: &str, is_retryable: bool) -> u8 {
    match code {
        "not_allowed" | "link_unavailable" | "admission_closed" | "token_invalid" | "proof_invalid"
        | "workspace_gone" | "not_owner" => EXIT_NOT_ALLOWED,
        "behind_schema" => EXIT_ATTENTION,
        "store_locked" => EXIT_ERROR,
        _ if is_retryable => EXIT_TEMPORARY,
        _ => EXIT_ERROR,
    }
}

impl From<roost::Error> for Failure {
    fn from(error: roost::Error) -> Self {
        let code = error.code();
        let is_late = matches!(error, roost::Error::TimedOut);
        Self { is_late, ..Self::new(exit_of(code, error.is_retryable()), code, error) }
    }
}

impl Output {
    /// Prints the object, or the lines.
    pub fn print(&self, object: &Value, lines: impl IntoIterator<Item = impl Display>) {
        if self.json {
            return json_line(object);
        }
        for text in lines {
            line(text);
        }
    }

    /// Says why on standard error, with `--json` also as an object, and gives the exit code.
    pub fn fail(&self, failure: &Failure) -> ExitCode {
        if self.json {
            json_line(&json!({ "error": { "code": failure.code, "message": failure.message } }));
        }
        note(format!("roost: {}", failure.message));
        ExitCode::from(failure.exit)
    }
}

/// One line on standard output, whatever the text holds; a reader that went away is no error.
pub fn line(text: impl Display) {
    exactly(&plain_line(text));
}

/// A value as JSON, on one line of standard output.
pub fn json_line(value: &Value) {
    exactly(&format!("{}\n", json_text(value)));
}

/// Exactly these bytes on standard output: for the text of a document, which is asked for as it is.
pub fn exactly(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written {
        UNWRITTEN.get_or_init(|| error);
    }
}

/// Fails if something could not be written to standard output: a text on a full disk is cut short, and a secret that was
/// made is known to nobody. A reader that has seen enough is no failure.
pub fn written() -> Result<(), Failure> {
    match UNWRITTEN.get().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
        None => Ok(()),
        Some(error) => {
            let what = format!("what was asked for could not be written out ({error}): make room, and ask again");
            Err(Failure::other(what).coded("output_unwritten"))
        }
    }
}

/// The first failure to write to standard output.
static UNWRITTEN: OnceLock<std::io::Error> = OnceLock::new();

/// One line on standard error, whatever the text holds.
pub fn note(text: impl Display) {
    picture(&plain_line(text));
}

/// Lines of our own on standard error, codes for the terminal included.
pub fn picture(lines: &str) {
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
}

fn plain_line(text: impl Display) -> String {
    format!("{}\n", Plain(&text.to_string()))
}

/// JSON with the same value, whose characters are plain on a terminal.
fn json_text(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if Plain::escapes(character) {
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nb\u{1b}[2J\u{9b}\u{202e}\u{2028}z";

    #[test]
    fn a_line_is_one_line_and_no_code() {
        assert_eq!(plain_line(HOSTILE), "a\\nb\\u{1b}[2J\\u{9b}\\u{202e}\\u{2028}z\n");
    }

    #[test]
    fn json_is_the_same_value_and_no_code() {
        let value = json!({ HOSTILE: [HOSTILE, 1.5, null], "path": "C:\\notes" });
        let text = json_text(&value);
        assert!(!text.chars().any(Plain::escapes), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
