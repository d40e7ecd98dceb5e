//! The recovery phrase: made on the owner's device, used on a new one.

use roost::RecoveryPhrase;
use serde_json::json;

use super::membership::{PATIENCE, stdin_lines};
use super::{online, roost};
use crate::args::{Cli, RecoveryCommand};
use crate::output::{Failure, Output, note};

pub async fn recovery(cli: &Cli, output: &Output, command: &RecoveryCommand) -> Result<(), Failure> {
    match command {
        RecoveryCommand::Create => {
            let workspace = online(cli).await?;
            let (created, id) = (workspace.create_recovery(PATIENCE).await, workspace.id());
            workspace.close().await;
            let phrase = created?.to_string();
            output.print(&json!({ "workspace": id, "phrase": phrase }), &phrase);
            note(format!(
                "Write these words down, with the workspace's id {id} and the server's address. Whoever has them owns the workspace; without them and without an owner device nobody can be added or sent away any more."
            ));
        }
        RecoveryCommand::Use { workspace, name, keep } => {
            let server = cli.server.as_deref();
            let server =
                server.ok_or_else(|| Failure::other("which server? give --server URL, or set ROOST_SERVER"))?;
            let phrase: RecoveryPhrase = stdin_lines(1)?[0].parse().map_err(roost::Error::from)?;
            let recovered = roost(cli, false).await?.recover(server, *workspace, &phrase, name, keep).await?;
            let synced = recovered.wait_synced(PATIENCE).await;
            let (device, documents) = (recovered.device(), recovered.documents()?.len());
            recovered.close().await;
            output.print(
                &json!({ "workspace": workspace, "device": device, "documents": documents }),
                format!("workspace {workspace} is back, with {documents} documents so far\ndevice    {device} ({name}), its owner"),
            );
            synced
                .map_err(|_| Failure::temporary("the workspace is taken over; reading it goes on at the next sync"))?;
        }
    }
    Ok(())
}
