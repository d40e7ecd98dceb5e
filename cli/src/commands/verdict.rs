//! What a workspace's status means to whoever asked for sync: done, not yet, kept out, or in need of a person.

use std::time::Duration;

use roost::{Code, Error, Status, Workspace};

use crate::output::Failure;

/// Waits until the workspace is synced, and says why if it does not come to that.
pub async fn reach(workspace: &Workspace, wait: Duration) -> Result<(), Failure> {
    let is_over = |status: &Status| status.synced || status.blocked.is_some() || status.diverged;
    match workspace.wait_until(wait, is_over).await {
        Ok(()) => judge(workspace),
        Err(Error::TimedOut) => Err(late(workspace)),
        Err(error) => Err(error.into()),
    }
}

/// Whether a look at the server has come to something, if only to that it cannot be reached.
pub fn is_known(status: &Status) -> bool {
    let is_held = status.caught_up && status.held.is_some();
    status.synced || is_held || status.blocked.is_some() || status.trouble.is_some() && !status.asking
}

/// Why something that waited for sync did not happen in time.
pub fn late(workspace: &Workspace) -> Failure {
    let status = workspace.status();
    if let Some(code) = status.blocked {
        return kept_out(workspace, &status, code);
    }
    let why = status.trouble.unwrap_or_else(|| "the server has not taken everything yet".to_owned());
    Failure::temporary(format!("not synced in time ({why}); everything is safe here"))
}

/// What a person has to know of a workspace that is at rest.
pub fn judge(workspace: &Workspace) -> Result<(), Failure> {
    let status = workspace.status();
    if let Some(code) = status.blocked {
        return Err(kept_out(workspace, &status, code));
    }
    if status.diverged {
        let what =
            "the server contradicted itself: sync has stopped and the evidence is kept; do not delete this folder";
        return Err(Failure::attention("diverged", what));
    }
    if !status.contradicted.is_empty() {
        let what = "another device has read another log than this one: if the server was restored, this ends when that device is back; else compare the codes of roost status on both, and do not trust the server if they differ";
        return Err(Failure::attention("contradicted", what));
    }
    if status.quarantined > 0 {
        return Err(Failure::attention("quarantined", put_aside(status.quarantined)));
    }
    Ok(())
}

/// How many entries were put aside, and what to do about them.
pub fn put_aside(entries: u64) -> String {
    let which = if entries == 1 { "1 entry was".to_owned() } else { format!("{entries} entries were") };
    format!("{which} put aside because they do not merge; the others did: roost quarantine lists what was put aside")
}

/// Why a server keeps this device out. Only what the roster proves is said as a fact: the owner signs it; all else is what
/// this server says, which may be another server, or one that was set up anew.
fn kept_out(workspace: &Workspace, status: &Status, code: Code) -> Failure {
    if workspace.scope().is_none() {
        let what = "this device was revoked: the roster, which the owner signs, says so. What it holds stays here; to take part again, join with a new link, in another folder";
        return Failure::refused(Code::NotAllowed, what);
    }
    let server = workspace.server();
    let what = match (code, &status.trouble) {
        // It names both names.
        (Code::AudienceMismatch, Some(trouble)) => trouble.clone(),
        (Code::NotFound, _) => format!(
            "the server at {server} does not have this workspace and has not taken it from this device: is it the right server? (--server gives another address)"
        ),
        (Code::NotAllowed | Code::ProofInvalid, _) => format!(
            "the server at {server} does not let this device in: roost devices on another device shows whether it is still in the workspace"
        ),
        (Code::WorkspaceGone, _) => {
            format!("the server at {server} says that the owner ended this workspace: devices keep what they have")
        }
        (code, _) => format!("the server at {server} refuses this device: {}", code.advice()),
    };
    Failure::refused(code, format!("{what} ({code}); everything is safe here"))
}
