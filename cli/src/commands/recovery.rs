//! The recovery phrase: made on the owner's device, used on a new one.

use roost::{RecoveryPhrase, WorkspaceId};
use serde_json::json;

use super::membership::{PATIENCE, stdin_lines, wanted_server};
use super::verdict::reach;
use super::{closing, online, roost};
use crate::args::{Cli, RecoveryCommand};
use crate::output::{Failure, Output, note};

pub async fn recovery(cli: &Cli, output: &Output, command: &RecoveryCommand) -> Result<(), Failure> {
    match command {
        RecoveryCommand::Create => create(cli, output).await,
        RecoveryCommand::Use { workspace, name, keep } => take_over(cli, output, *workspace, name, keep).await,
    }
}

async fn create(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let created = online(cli, async |workspace| {
        let phrase = workspace.create_recovery(PATIENCE).await?.to_string();
        Ok((phrase, workspace.id()))
    });
    let (phrase, id) = created.await?;
    output.print(&json!({ "workspace": id, "phrase": phrase }), [&phrase]);
    note(format!(
        "Write these words down, with the workspace's id {id} and the server's address. Whoever has them owns the workspace; without them and without an owner device nobody can be added or sent away any more."
    ));
    Ok(())
}

async fn take_over(cli: &Cli, output: &Output, id: WorkspaceId, name: &str, keep: &[String]) -> Result<(), Failure> {
    let server = wanted_server(cli)?;
    let phrase: RecoveryPhrase = stdin_lines(1)?[0].parse().map_err(roost::Error::from)?;
    let recovered = roost(cli, false).await?.recover(server, id, &phrase, name, keep).await?;
    let done = closing(recovered, async |recovered| {
        let reached = reach(recovered, PATIENCE).await;
        let (device, documents) = (recovered.device(), recovered.documents()?.len());
        output.print(
            &json!({ "workspace": id, "device": device, "documents": documents }),
            [
                format!("workspace {id} is back, with {documents} documents so far"),
                format!("device    {device} ({name}), its owner"),
            ],
        );
        reached.map_err(|failure| failure.after("the workspace is taken over, and read on at the next sync"))
    });
    done.await
}
