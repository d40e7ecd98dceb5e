//! The command line as scripts know it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use roost_server::config::Settings;

/// Local-first sync: documents on every device, kept in step through a server that cannot read them
#[derive(Parser)]
#[command(name = "roost", version, arg_required_else_help = true)]
pub struct Cli {
    /// Where this device keeps its workspace
    #[arg(long, global = true, env = "ROOST_DATA_DIR", default_value = "roost-data")]
    pub data_dir: PathBuf,
    /// The server's address; overrides the stored one
    #[arg(long, global = true, env = "ROOST_SERVER")]
    pub server: Option<String>,
    /// One JSON object on stdout instead of text
    #[arg(long, global = true, env = "ROOST_JSON")]
    pub json: bool,
    /// Allow http:// to servers beyond this machine
    #[arg(long, global = true, env = "ROOST_ALLOW_HTTP")]
    pub allow_http: bool,
    /// A file with the key that the server asks of those who create workspaces
    #[arg(long, global = true, env = "ROOST_ADMISSION_KEY_FILE")]
    pub admission_key_file: Option<PathBuf>,
    /// When an edit is durable: process (survives the app's death) or power (survives a power cut)
    #[arg(long, global = true, env = "ROOST_DURABILITY", value_enum, default_value = "process")]
    pub durability: DurabilityArg,
    #[command(subcommand)]
    pub command: Command,
}

/// See [`roost::Durability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// Survives the app's death
    Process,
    /// Survives a power cut
    Power,
}

/// See [`roost::Scope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// Take entries in
    #[value(name = "read")]
    Read,
    /// Append as well
    #[value(name = "read_write")]
    ReadWrite,
}

impl From<ScopeArg> for roost::Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::ReadWrite => Self::ReadWrite,
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// A server and two devices on this machine: edit offline on both, sync, prove they agree
    Demo {
        /// Keep the data afterwards
        #[arg(long, env = "ROOST_KEEP")]
        keep: bool,
    },
    /// Run the server
    Serve(Settings),
    /// Create a workspace; this device is its owner
    Init {
        /// This device's name
        #[arg(long, env = "ROOST_NAME", default_value = "device")]
        name: String,
    },
    /// Make a link by which one more device can join, once
    Share {
        /// What the new device may do
        #[arg(long, env = "ROOST_SCOPE", value_enum, default_value = "read_write")]
        scope: ScopeArg,
        /// When the link dies, such as 7d or 10m
        #[arg(long, env = "ROOST_EXPIRES", default_value = "7d", value_parser = duration)]
        expires: Duration,
        /// Read a passcode from standard input, which the joiner must know besides the link
        #[arg(long, env = "ROOST_PASSCODE_STDIN")]
        passcode_stdin: bool,
        /// Draw the link as a QR code as well
        #[arg(long, env = "ROOST_QR")]
        qr: bool,
    },
    /// Join a workspace by a share link
    Join {
        /// This device's name
        #[arg(long, env = "ROOST_NAME", default_value = "device")]
        name: String,
        /// The link; - reads it from standard input, where no process list shows it
        #[arg(default_value = "-")]
        link: String,
        /// Read the link's passcode from standard input, after the link if that is read there
        #[arg(long, env = "ROOST_PASSCODE_STDIN")]
        passcode_stdin: bool,
    },
    /// What was ever written into a document, newest first; or what it was at one time
    History {
        /// The document's name
        document: String,
        /// Show it as it was: a version that history lists, or a time such as 2026-11-21T09:30:00Z
        #[arg(long, env = "ROOST_AT")]
        at: Option<String>,
        /// Make it what it was then, by an edit; needs --at
        #[arg(long, requires = "at")]
        restore: bool,
    },
    /// Take back this device's last edit of a document; what others wrote since stays
    Undo {
        /// The document's name
        document: String,
    },
    /// Entries whose content was put aside because it does not merge: list them, or deal with them
    Quarantine {
        #[command(subcommand)]
        command: Option<QuarantineCommand>,
    },
    /// Look whether everything on this device is in order, without the server
    Doctor,
    /// Who is in the workspace, and who was
    Devices,
    /// Send a device away; what is written from then on it cannot open
    Revoke {
        /// Its id or name
        device: String,
    },
    /// Give a device another name
    Rename {
        /// Its id or name
        device: String,
        /// The new name
        name: String,
    },
    /// Let a device write, or only read
    Scope {
        /// Its id or name
        device: String,
        /// What it may do from now on
        #[arg(value_enum)]
        scope: ScopeArg,
    },
    /// Open share links
    Links,
    /// Withdraw a share link that was not used yet
    Unlink {
        /// Its id, as share and links print it
        id: String,
    },
    /// Tokens for clients without device keys, which read sealed bytes
    #[command(subcommand)]
    Token(TokenCommand),
    /// Twelve words that give the workspace back when every owner device is gone
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// List documents
    Docs,
    /// Print a value of a document's data as JSON, exactly
    Get {
        /// The document's name
        document: String,
        /// Keys with dots between; all of it without
        path: Option<String>,
    },
    /// Set a value of a document's data; durable on return
    Set {
        /// The document's name
        document: String,
        /// Keys with dots between
        path: String,
        /// The value, as JSON; a number that would be rounded is refused
        #[arg(value_name = "JSON", allow_hyphen_values = true)]
        value: String,
    },
    /// Print a document's text, exactly
    Cat {
        /// The document's name
        document: String,
    },
    /// Insert into a document's text; durable on return
    Insert {
        /// The document's name
        document: String,
        /// Where, in code points
        position: usize,
        /// What
        text: String,
    },
    /// Delete from a document's text; durable on return
    Delete {
        /// The document's name
        document: String,
        /// Where, in code points
        position: usize,
        /// How many code points
        len: usize,
    },
    /// Type a recorded editing trace into a document's text, and sync meanwhile
    Replay(Replay),
    /// Sync until nothing is left to send or to fetch
    Sync {
        /// How long at most
        #[arg(long, env = "ROOST_WAIT", default_value = "60s", value_parser = duration)]
        wait: Duration,
        /// Go on until interrupted, and say each time something changed
        #[arg(long, env = "ROOST_WATCH")]
        watch: bool,
    },
    /// How this device and the workspace stand
    Status,
    /// The convergence digest of a document: equal on two devices that hold the same
    Digest {
        /// The document's name
        document: String,
    },
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Issue one, and show it this once
    Issue {
        /// What to call it; the server can read this
        #[arg(long, env = "ROOST_LABEL", default_value = "")]
        label: String,
        /// When it runs out, such as 90d
        #[arg(long, env = "ROOST_EXPIRES", default_value = "30d", value_parser = duration)]
        expires: Duration,
    },
    /// List them
    List,
    /// Take one back
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Subcommand)]
pub enum RecoveryCommand {
    /// Make the words and print them, this once; earlier ones no longer work
    Create,
    /// Take the workspace over on this new device; the words are read from standard input
    Use {
        /// The workspace's id, as roost status shows it
        #[arg(long, env = "ROOST_WORKSPACE")]
        workspace: roost::WorkspaceId,
        /// This device's name
        #[arg(long, env = "ROOST_NAME", default_value = "device")]
        name: String,
        /// Names of devices that stay in; all others are out
        #[arg(long, env = "ROOST_KEEP_DEVICES", value_delimiter = ',')]
        keep: Vec<String>,
    },
}

#[derive(Subcommand)]
pub enum QuarantineCommand {
    /// Try to merge them again: a newer version of this program may be able to
    Retry {
        /// The number of one entry, as the list shows it; all without
        seq: Option<u64>,
    },
    /// Leave an entry as it is, and count it no longer
    Accept {
        /// The number of the entry, as the list shows it
        seq: u64,
    },
}

#[derive(Args)]
pub struct Replay {
    /// The document's name
    pub document: String,
    /// The trace
    pub trace: PathBuf,
    /// Edits in one commit
    #[arg(long, env = "ROOST_COMMIT_EVERY", default_value_t = 26, value_parser = clap::value_parser!(u64).range(1..))]
    pub commit_every: u64,
    /// Edits a second; as fast as it goes without
    #[arg(long, env = "ROOST_RATE", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
}

/// `90s`, `10m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a duration: it reads 90s, 10m, 12h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= 100 * 366 * 86_400)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_data_directory_goes_before_or_after_the_command() {
        for arguments in [["roost", "--data-dir", "A", "docs"], ["roost", "docs", "--data-dir", "A"]] {
            assert_eq!(Cli::parse_from(arguments).data_dir, PathBuf::from("A"));
        }
        let Command::Serve(settings) = Cli::parse_from(["roost", "serve", "--data-dir", "S"]).command else {
            panic!("serve is serve")
        };
        assert_eq!(settings.data_dir, PathBuf::from("S"));
    }

    #[test]
    fn a_value_may_be_negative() {
        for arguments in
            [["roost", "set", "n", "k", "-0.5e-3", "--json"], ["roost", "--json", "set", "n", "k", "-0.5e-3"]]
        {
            let cli = Cli::parse_from(arguments);
            let Command::Set { value, .. } = cli.command else { panic!("set is set") };
            assert!(cli.json && value == "-0.5e-3", "{value}");
        }
    }

    #[test]
    fn durations_are_read_or_refused() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "s", "7", "-1s", "1.5h", "7w", "99999999999999999999d", "7 d", "7é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
