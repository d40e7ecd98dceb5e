//! Verdicts on a workspace's status for sync: done, not yet, kept out, or in need of a person.

use std::time::Duration;

use roost::{Code, Error, Held, HeldReason, Plain, Status, Workspace};
use serde_json::{Value, json};

use crate::output::Failure;

/// Waits until the workspace is synced, and says why if it does not come to that.
pub async fn reach(workspace: &Workspace, wait: Duration) -> Result<(), Failure> {
    let is_over = |status: &Status| {
        let is_full = |held: &Held| matches!(held.reason, HeldReason::Quota { room: Some(_) });
        let needs_a_person = status.fault.is_some_and(|fault| !fault.is_passing())
            || status.caught_up && status.held.iter().any(is_full);
        status.synced || status.settled || status.blocked.is_some() || status.diverged || needs_a_person
    };
    match workspace.wait_until(wait, is_over).await {
        Ok(()) => judge(workspace),
        Err(Error::TimedOut) => Err(late(workspace)),
        Err(error) => Err(error.into()),
    }
}

/// A look at the server has come to an end, if only to that the server cannot be reached.
pub fn is_known(status: &Status) -> bool {
    let is_counted = |held: &Held| !matches!(held.reason, HeldReason::Quota { room: None });
    let is_held = status.caught_up && !status.held.is_empty() && status.held.iter().all(is_counted);
    status.synced || is_held || status.blocked.is_some() || status.trouble.is_some() && !status.asking
}

/// The failure of a command that waited for sync in vain.
pub fn late(workspace: &Workspace) -> Failure {
    let status = workspace.status();
    if let Some(code) = status.blocked {
        return kept_out(workspace, &status, code);
    }
    if let Some(failure) = stopped(&status) {
        return failure;
    }
    if let Some(first) = first_held(workspace, &status, |reason| !matches!(reason, HeldReason::Offline)) {
        return Failure::temporary(kept_back(workspace, &status, first)).coded(first.reason.code());
    }
    let why = status.trouble.unwrap_or_else(|| "the server has not taken everything yet".to_owned());
    Failure::temporary(format!("not synced in time ({why}); everything is safe here"))
}

/// The failure that a person has to know of in a workspace at rest.
pub fn judge(workspace: &Workspace) -> Result<(), Failure> {
    let status = workspace.status();
    if let Some(code) = status.blocked {
        return Err(kept_out(workspace, &status, code));
    }
    if let Some(failure) = stopped(&status) {
        return Err(failure);
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
    if let Some(first) = first_held(workspace, &status, HeldReason::is_final) {
        let what = kept_back(workspace, &status, first);
        return Err(match first.reason {
            HeldReason::ReadOnly => Failure::refused(Code::NotAllowed, what),
            _ => Failure::attention(first.reason.code(), what),
        });
    }
    if status.quarantined > 0 {
        return Err(Failure::attention("quarantined", put_aside(status.quarantined)));
    }
    Ok(())
}

/// The local store cannot do its work: what is in the way, and what to do.
fn stopped(status: &Status) -> Option<Failure> {
    let fault = status.fault?;
    let what = status.trouble.clone().unwrap_or_else(|| fault.to_string());
    Some(Failure::of_fault(fault, format!("not synced: {what}")))
}

/// A document that is kept from the server for such a reason: one with a name, where there is one.
fn first_held<'a>(
    workspace: &Workspace,
    status: &'a Status,
    is_meant: impl Fn(&HeldReason) -> bool,
) -> Option<&'a Held> {
    let meant = status.held.iter().filter(|held| is_meant(&held.reason));
    meant.min_by_key(|held| listed(workspace, held).is_none())
}

/// A sentence on the held documents: their number, and the reason of the first.
fn kept_back(workspace: &Workspace, status: &Status, first: &Held) -> String {
    let others = match status.held.len() {
        0 | 1 => String::new(),
        2 => "; so is 1 other document: see roost status".to_owned(),
        count => format!("; so are {} other documents: see roost status", count - 1),
    };
    let name = name_of(workspace, first);
    format!("edits of {name} are kept from the server: {}{others}; everything is safe here", first.reason)
}

/// Names and reasons of the held documents.
pub fn held_lines(workspace: &Workspace, status: &Status) -> Vec<String> {
    let line = |held: &Held| format!("{} is kept from the server: {}", name_of(workspace, held), held.reason);
    status.held.iter().map(line).collect()
}

/// Held documents as JSON.
pub fn held_objects(workspace: &Workspace, status: &Status) -> Vec<Value> {
    let object = |held: &Held| {
        let mut object = json!({
            "document": held.document,
            "name": listed(workspace, held),
            "reason": held.reason.code(),
        });
        match &held.reason {
            HeldReason::Quota { room: Some(room) } => {
                object["bytes"] = json!(room.bytes);
                object["quota_bytes"] = json!(room.quota_bytes);
            }
            HeldReason::Behind { needs } => object["needs"] = json!(needs),
            _ => {}
        }
        object
    };
    status.held.iter().map(object).collect()
}

/// The list of documents is a document, too, and has no name.
fn name_of(workspace: &Workspace, held: &Held) -> String {
    match listed(workspace, held) {
        Some(name) => format!("document {}", Plain(&name)),
        None => format!("the list of documents, or one that it lacks ({})", held.document),
    }
}

fn listed(workspace: &Workspace, held: &Held) -> Option<String> {
    let documents = workspace.documents().unwrap_or_default();
    documents.into_iter().find(|(id, _)| *id == held.document).map(|(_, name)| name)
}

/// A sentence on the entries in quarantine, and what to do about them.
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
