//! Syncing, and how things stand.

use std::time::Duration;

use roost::{Status, Workspace};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::devices::{object_of, seen_of};
use super::documents::{schema_of, with_schemas};
use super::online;
use crate::args::Cli;
use crate::output::{Failure, Output};

/// How long `status` looks for the server.
const LOOK: Duration = Duration::from_secs(3);

pub async fn sync(cli: &Cli, output: &Output, wait: Duration, watch: bool) -> Result<(), Failure> {
    let workspace = online(cli).await?;
    let started = Instant::now();
    let done = if watch {
        follow(&workspace, output, started).await
    } else {
        let is_over = |status: &Status| status.synced || status.blocked.is_some() || status.diverged;
        let waited = workspace.wait_until(wait, is_over).await;
        report(output, &workspace.status(), started);
        waited.map_err(|_| not_in_time(&workspace.status())).and_then(|()| judge(&workspace.status()))
    };
    workspace.close().await;
    done
}

/// Says each change until it is interrupted.
async fn follow(workspace: &Workspace, output: &Output, started: Instant) -> Result<(), Failure> {
    let failed = |error| Failure::other(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut views = workspace.watch_status();
    let mut last = None;
    loop {
        views.borrow_and_update();
        let status = workspace.status();
        let told = (status.cursor, status.tail, status.outbox, status.online, status.synced);
        if last.replace(told) != Some(told) {
            report(output, &status, started);
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() {
                return Ok(());
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn report(output: &Output, status: &Status, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let object = json!({
        "cursor": status.cursor,
        "tail": status.tail,
        "outbox": status.outbox,
        "seconds": seconds,
        "online": status.online,
        "synced": status.synced,
    });
    output.print(&object, line_of(status));
}

fn line_of(status: &Status) -> String {
    let place = match (status.online, status.tail) {
        (true, Some(tail)) => format!("at {} of {tail}", status.cursor),
        (true, None) => format!("at {}", status.cursor),
        (false, _) => format!("offline at {}", status.cursor),
    };
    let left = match (status.on_server, status.outbox) {
        (true, _) => "everything here is on the server".to_owned(),
        (false, 0) => "edits wait to be sent".to_owned(),
        (false, outbox) => format!("{outbox} on their way"),
    };
    let seen = match (status.seen_by, status.others) {
        (_, 0) => String::new(),
        (seen_by, others) if seen_by == others => "; seen by all other devices".to_owned(),
        (seen_by, others) => format!("; seen by {seen_by} of {others} other devices"),
    };
    format!("{place}; {left}{seen}")
}

fn not_in_time(status: &Status) -> Failure {
    let why = status.trouble.clone().unwrap_or_else(|| "the server has not taken everything yet".to_owned());
    Failure::temporary(format!("not synced in time ({why}); everything is safe here"))
}

fn judge(status: &Status) -> Result<(), Failure> {
    if let Some(code) = status.blocked {
        return Err(Failure::not_allowed(code));
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
        let what = format!("{} entries were put aside because they do not merge; the others did", status.quarantined);
        return Err(Failure::attention("quarantined", what));
    }
    Ok(())
}

pub async fn status(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let workspace = online(cli).await?;
    // Offline is an answer too.
    let _ = workspace
        .wait_until(LOOK, |status| status.synced || status.trouble.is_some() || status.blocked.is_some())
        .await;
    let (status, devices) = (workspace.status(), workspace.devices());
    let (documents, schemas) = (workspace.documents()?, workspace.document_schemas()?);
    let (id, device, scope, server) = (workspace.id(), workspace.device(), workspace.scope(), workspace.server());
    let code = workspace.compare_code();
    workspace.close().await;
    let listed = with_schemas(&documents, &schemas);
    let described: Vec<Value> = devices.iter().filter(|device| device.name.is_some()).map(object_of).collect();
    let object = json!({
        "workspace": id,
        "device": device,
        "scope": scope,
        "server": server,
        "online": status.online,
        "cursor": status.cursor,
        "tail": status.tail,
        "outbox": status.outbox,
        "on_server": status.on_server,
        "others": status.others,
        "seen_by": status.seen_by,
        "contradicted": status.contradicted,
        "quarantined": status.quarantined,
        "diverged": status.diverged,
        "compare_code": code,
        "late_edits": status.late_edits,
        "documents": listed,
        "devices": described,
    });
    let mut text = format!("workspace {id} on {server}\n{}\ncompare code {code}", line_of(&status));
    for device in devices.iter().filter(|device| device.name.is_some()) {
        let name = device.name.as_deref().unwrap_or_default();
        let seen = seen_of(device);
        text.push_str(&format!("\ndevice {} {name} {:?} {:?}{seen}", device.id, device.scope, device.status));
    }
    for (document, (_, name)) in listed.iter().zip(&documents) {
        text.push_str(&format!("\ndocument {name}{}", schema_of(document)));
    }
    if status.late_edits > 0 {
        text.push_str(&format!("\n{} edits missed a rewrite: the app shows them", status.late_edits));
    }
    output.print(&object, text);
    judge(&status)
}
