//! Tokens for clients without device keys.

use roost::{Hash, TokenInfo, Workspace};
use serde_json::{Value, json};

use super::online;
use crate::args::{Cli, TokenCommand};
use crate::output::{Failure, Output, note};

pub async fn token(cli: &Cli, output: &Output, command: &TokenCommand) -> Result<(), Failure> {
    online(cli, async |workspace| run(workspace, output, command).await).await
}

async fn run(workspace: &Workspace, output: &Output, command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Issue { label, expires } => {
            let issued = workspace.issue_token(label, *expires).await?;
            let object = json!({ "id": issued.id, "token": issued.token, "expires_at": issued.expires_at_ms });
            output.print(&object, [&issued.token]);
            note(format!(
                "It reads the sealed bytes of this workspace and opens none. Take it back: roost token revoke {}",
                issued.id
            ));
        }
        TokenCommand::List => {
            let tokens = workspace.tokens().await?;
            let line_of = |token: &TokenInfo| format!("{} until {} ms {}", token.id, token.expires_at_ms, token.label);
            output.print(&Value::from(tokens.iter().map(object_of).collect::<Vec<_>>()), tokens.iter().map(line_of));
        }
        TokenCommand::Revoke { id } => {
            let id = Hash::parse(id)
                .ok_or_else(|| Failure::other("a token's id is 64 hex digits: roost token list shows it"))?;
            workspace.withdraw_token(id).await?;
            output.print(&json!({ "id": id }), [format!("{id} is withdrawn")]);
        }
    }
    Ok(())
}

fn object_of(token: &TokenInfo) -> Value {
    json!({ "id": token.id, "label": token.label, "created_at": token.created_at_ms, "expires_at": token.expires_at_ms })
}
