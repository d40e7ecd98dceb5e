//! Creating, sharing, joining.

use std::io::Read as _;
use std::time::Duration;

use roost::ShareLink;
use serde_json::json;

use super::{online, roost};
use crate::args::{Cli, ScopeArg};
use crate::output::{Failure, Output, note};

/// How long the server may take to answer a command of these.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A link is read from standard input up to this.
const LINK_MAX: u64 = 4 * 1024;

pub async fn init(cli: &Cli, output: &Output, name: &str) -> Result<(), Failure> {
    let server = cli.server.as_deref();
    let server = server.ok_or_else(|| Failure::other("which server? give --server URL, or set ROOST_SERVER"))?;
    let roost = roost(cli, false).await?;
    if let Some(held) = roost.workspaces()?.first() {
        return Err(Failure::other(format!(
            "{} holds workspace {held} already: give --data-dir another folder",
            cli.data_dir.display()
        )));
    }
    let workspace = roost.create_workspace(server, name).await?;
    let reached = workspace.wait_synced(PATIENCE).await;
    let (id, device) = (workspace.id(), workspace.device());
    let trouble = workspace.status().trouble;
    workspace.close().await;
    output.print(
        &json!({ "workspace": id, "device": device }),
        format!("workspace {id}\ndevice    {device} ({name}), its owner"),
    );
    if reached.is_err() {
        let why = trouble.unwrap_or_else(|| "no answer".to_owned());
        return Err(Failure::temporary(format!(
            "the workspace is made here; the server has not taken it yet ({why}). It does at the next sync"
        )));
    }
    Ok(())
}

pub async fn share(cli: &Cli, output: &Output, scope: ScopeArg, expires: Duration) -> Result<(), Failure> {
    let workspace = online(cli).await?;
    let shared = workspace.share(scope.into(), expires, PATIENCE).await;
    workspace.close().await;
    let shared = shared?;
    let link = shared.link.to_string();
    output.print(&json!({ "link": link, "id": shared.id, "expires_at": shared.expires_at_ms }), &link);
    note("This link lets one device in, once. Whoever has it can join: pass it on privately.");
    Ok(())
}

pub async fn join(cli: &Cli, output: &Output, name: &str, link: &str) -> Result<(), Failure> {
    let mut text = link.to_owned();
    if text == "-" {
        text.clear();
        let read = std::io::stdin().take(LINK_MAX).read_to_string(&mut text);
        read.map_err(|error| Failure::other(format!("cannot read the link: {error}")))?;
    }
    let link: ShareLink = text.parse().map_err(roost::Error::from)?;
    let workspace = roost(cli, true).await?.join(&link, name).await?;
    let (id, device, scope) = (workspace.id(), workspace.device(), workspace.scope());
    workspace.close().await;
    output.print(
        &json!({ "workspace": id, "device": device, "scope": scope }),
        format!("joined workspace {id}\nas device        {device} ({name})"),
    );
    Ok(())
}
