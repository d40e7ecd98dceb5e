//! One function a command.

mod demo;
mod devices;
mod doctor;
mod documents;
mod history;
mod membership;
mod quarantine;
mod recovery;
mod replay;
mod syncing;
mod tokens;
mod verdict;

use std::time::Duration;

use roost::schema::Schema;
use roost::{Durability, Roost, Workspace};
use roost_server::config::Settings;

pub use self::demo::demo;
pub use self::devices::{devices, links, rename, revoke, set_scope, unlink};
pub use self::doctor::doctor;
pub use self::documents::{cat, delete, digest, docs, get, insert, set};
pub use self::history::{history, undo};
pub use self::membership::{init, join, share};
pub use self::quarantine::quarantine;
pub use self::recovery::recovery;
pub use self::replay::replay;
pub use self::syncing::{status, sync};
pub use self::tokens::token;
use crate::args::{Cli, DurabilityArg};
use crate::output::{Failure, line};

pub async fn serve(settings: Settings) -> Result<(), Failure> {
    let served = roost_server::run(settings, |address| line(format!("listening on http://{address}")));
    served.await.map_err(|error| match error.fault() {
        Some(fault) => Failure::of_fault(fault, error),
        None => Failure::other(error),
    })
}

/// The data directory; `paused` for commands that work offline.
async fn roost(cli: &Cli, paused: bool) -> Result<Roost, Failure> {
    let admission_key = match &cli.admission_key_file {
        None => None,
        Some(path) => {
            let key = std::fs::read_to_string(path);
            let key = key.map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
            Some(key.trim().to_owned())
        }
    };
    let durability = match cli.durability {
        DurabilityArg::Process => Durability::Process,
        DurabilityArg::Power => Durability::Power,
    };
    let roost = Roost::builder(&cli.data_dir)
        .schema(Schema::raw())
        .undo_pause(Duration::ZERO) // a command is an edit
        .one_workspace(true)
        .paused(paused)
        .allow_http(cli.allow_http)
        .durability(durability)
        .admission_key(admission_key);
    Ok(roost.open().await?)
}

/// Runs a command that works offline on the folder's workspace.
async fn offline<T>(cli: &Cli, command: impl FnOnce(&Workspace) -> Result<T, Failure>) -> Result<T, Failure> {
    let workspace = roost(cli, true).await?.only_workspace().await?;
    closing(workspace, async move |workspace| command(workspace)).await
}

/// Runs a command that syncs on the folder's workspace, at the address the command line gives or the stored one.
async fn online<T>(cli: &Cli, command: impl AsyncFnOnce(&Workspace) -> Result<T, Failure>) -> Result<T, Failure> {
    if let Some(server) = &cli.server {
        offline(cli, |workspace| Ok(workspace.set_server(server, cli.allow_http)?)).await?;
    }
    closing(roost(cli, false).await?.only_workspace().await?, command).await
}

/// Runs a command on a workspace and closes it, whatever comes of the command: a merge that the end of the process cuts off
/// counts as one that the process died of.
async fn closing<T>(
    workspace: Workspace,
    command: impl AsyncFnOnce(&Workspace) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = command(&workspace).await;
    let done = done.map_err(|failure| if failure.is_late() { verdict::late(&workspace) } else { failure });
    workspace.close().await;
    done
}
