//! One function a command.

mod demo;
mod devices;
mod doctor;
mod documents;
mod history;
mod membership;
mod recovery;
mod replay;
mod syncing;
mod tokens;

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
pub use self::recovery::recovery;
pub use self::replay::replay;
pub use self::syncing::{status, sync};
pub use self::tokens::token;
use crate::args::{Cli, DurabilityArg};
use crate::output::{Failure, line};

pub async fn serve(settings: Settings) -> Result<(), Failure> {
    let served = roost_server::run(settings, |address| line(format!("listening on http://{address}")));
    served.await.map_err(Failure::other)
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
        .paused(paused)
        .allow_http(cli.allow_http)
        .durability(durability)
        .admission_key(admission_key);
    Ok(roost.open().await?)
}

/// The workspace for a command that works offline.
async fn offline(cli: &Cli) -> Result<Workspace, Failure> {
    Ok(roost(cli, true).await?.only_workspace().await?)
}

/// The workspace for a command that syncs, at the address the command line gives or the stored one.
async fn online(cli: &Cli) -> Result<Workspace, Failure> {
    if let Some(server) = &cli.server {
        let workspace = offline(cli).await?;
        workspace.set_server(server, cli.allow_http)?;
        workspace.close().await;
    }
    Ok(roost(cli, false).await?.only_workspace().await?)
}
