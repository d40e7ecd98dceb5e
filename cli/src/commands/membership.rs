//! Creating, sharing, joining.

use std::io::Read as _;
use std::time::Duration;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use roost::{ShareLink, Sharing};
use serde_json::json;

use super::verdict::reach;
use super::{closing, online, roost};
use crate::args::{Cli, ScopeArg};
use crate::output::{Failure, Output, note, picture};

/// How long the server may take to answer a command of these.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A link is read from standard input up to this.
const LINK_MAX: u64 = 4 * 1024;

/// The server that the command line names, for a command that cannot know one.
pub fn wanted_server(cli: &Cli) -> Result<&str, Failure> {
    cli.server.as_deref().ok_or_else(|| Failure::other("which server? give --server URL, or set ROOST_SERVER"))
}

pub async fn init(cli: &Cli, output: &Output, name: &str) -> Result<(), Failure> {
    let server = wanted_server(cli)?;
    let created = roost(cli, false).await?.create_workspace(server, name).await?;
    let done = closing(created, async |workspace| {
        let reached = reach(workspace, PATIENCE).await;
        let (id, device) = (workspace.id(), workspace.device());
        output.print(
            &json!({ "workspace": id, "device": device }),
            [format!("workspace {id}"), format!("device    {device} ({name}), its owner")],
        );
        reached.map_err(|failure| {
            failure.after("the workspace is made here, and the server takes it at the next sync that reaches it")
        })
    });
    done.await
}

pub async fn share(
    cli: &Cli,
    output: &Output,
    (scope, expires): (ScopeArg, Duration),
    passcode_stdin: bool,
    qr: bool,
) -> Result<(), Failure> {
    let mut sharing = Sharing::new(scope.into()).expires_in(expires);
    if passcode_stdin {
        sharing = sharing.passcode(&stdin_lines(1)?[0]);
    }
    let shared = online(cli, async |workspace| Ok(workspace.share(&sharing, PATIENCE).await?)).await?;
    let link = shared.link.to_string();
    output.print(&json!({ "link": link, "id": shared.id, "expires_at": shared.expires_at_ms }), [&link]);
    if qr {
        picture(&qr_of(&link)?);
    }
    note("This link lets one device in, once. Whoever has it can join: pass it on privately.");
    Ok(())
}

/// A picture of the link for a screen, dark on light whatever the terminal's colours; the least redundancy fits 80 x 25.
fn qr_of(link: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).map_err(Failure::other)?;
    let drawn = code.render::<Dense1x2>().build();
    Ok(drawn.lines().map(|line| format!("\x1b[30;107m{line}\x1b[0m\n")).collect())
}

/// Exactly so many lines of standard input, without their ends.
pub fn stdin_lines(count: usize) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(LINK_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    let lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
    if lines.len() == count {
        Ok(lines)
    } else {
        Err(Failure::other(format!("standard input has {} lines; {count} wanted: link, then passcode", lines.len())))
    }
}

pub async fn join(cli: &Cli, output: &Output, name: &str, link: &str, passcode_stdin: bool) -> Result<(), Failure> {
    let wanted = usize::from(link == "-") + usize::from(passcode_stdin);
    let mut from_stdin = if wanted == 0 { Vec::new() } else { stdin_lines(wanted)? }.into_iter();
    let text = if link == "-" { from_stdin.next().unwrap_or_default() } else { link.to_owned() };
    let mut link: ShareLink = text.parse().map_err(roost::Error::from)?;
    if let Some(passcode) = from_stdin.next() {
        link = link.with_passcode(&passcode).map_err(roost::Error::from)?;
    }
    let joined = roost(cli, true).await?.join(&link, name).await?;
    let joined = closing(joined, async |workspace| Ok((workspace.id(), workspace.device(), workspace.scope())));
    let (id, device, scope) = joined.await?;
    output.print(
        &json!({ "workspace": id, "device": device, "scope": scope }),
        [format!("joined workspace {id}"), format!("as device        {device} ({name})")],
    );
    Ok(())
}
