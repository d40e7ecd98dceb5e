//! Syncing, and how things stand.

use std::time::Duration;

use roost::{DeviceInfo, Fault, Status, Workspace};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::devices::{object_of, seen_of};
use super::documents::{schema_of, shown, with_schemas};
use super::online;
use super::verdict::{held_lines, held_objects, is_known, judge, reach};
use crate::args::Cli;
use crate::output::{Failure, Output};

/// How long `status` looks for the server.
const LOOK: Duration = Duration::from_secs(3);

pub async fn sync(cli: &Cli, output: &Output, wait: Duration, watch: bool) -> Result<(), Failure> {
    let done = online(cli, async |workspace| {
        let started = Instant::now();
        if watch {
            return follow(workspace, output, started).await;
        }
        let reached = reach(workspace, wait).await;
        report(workspace, output, &workspace.status(), started);
        reached
    });
    done.await
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
        let told = Some((told, status.fault, status.held.clone()));
        if last != told {
            last = told;
            report(workspace, output, &status, started);
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

fn report(workspace: &Workspace, output: &Output, status: &Status, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let object = json!({
        "cursor": status.cursor,
        "tail": status.tail,
        "outbox": status.outbox,
        "seconds": seconds,
        "online": status.online,
        "synced": status.synced,
        "held": held_objects(workspace, status),
        "fault": status.fault.map(Fault::code),
    });
    let mut lines = vec![line_of(status)];
    lines.extend(held_lines(workspace, status));
    lines.extend(status.fault.map(|_| status.trouble.clone().unwrap_or_default()));
    output.print(&object, lines);
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
        _ if !status.on_server => String::new(),
        (seen_by, others) if seen_by == others => "; seen by all other devices".to_owned(),
        (seen_by, others) => format!("; seen by {seen_by} of {others} other devices"),
    };
    format!("{place}; {left}{seen}")
}

pub async fn status(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let done = online(cli, async |workspace| {
        // Offline is an answer too.
        let _ = workspace.wait_until(LOOK, is_known).await;
        show(workspace, output)?;
        judge(workspace)
    });
    done.await
}

fn show(workspace: &Workspace, output: &Output) -> Result<(), Failure> {
    let (status, devices) = (workspace.status(), workspace.devices());
    let (documents, schemas) = (workspace.documents()?, workspace.document_schemas()?);
    let (id, server, code) = (workspace.id(), workspace.server(), workspace.compare_code());
    let listed = with_schemas(&documents, &schemas);
    let named = || devices.iter().filter(|device| device.name.is_some());
    let object = json!({
        "workspace": id,
        "device": workspace.device(),
        "scope": workspace.scope(),
        "server": server,
        "online": status.online,
        "cursor": status.cursor,
        "tail": status.tail,
        "outbox": status.outbox,
        "on_server": status.on_server,
        "held": held_objects(workspace, &status),
        "fault": status.fault.map(Fault::code),
        "others": status.others,
        "seen_by": status.seen_by,
        "contradicted": status.contradicted,
        "quarantined": status.quarantined,
        "diverged": status.diverged,
        "blocked": status.blocked,
        "trouble": status.trouble,
        "compare_code": code,
        "late_edits": status.late_edits,
        "documents": listed,
        "devices": named().map(object_of).collect::<Vec<Value>>(),
    });
    let mut lines = vec![format!("workspace {id} on {server}"), line_of(&status), format!("compare code {code}")];
    lines.extend(held_lines(workspace, &status));
    lines.extend(named().map(device_line));
    let shown = shown(&documents).into_iter().zip(&listed);
    lines.extend(shown.map(|(name, document)| format!("document {name}{}", schema_of(document))));
    if status.late_edits > 0 {
        lines.push(format!("{} edits missed a rewrite: the app shows them", status.late_edits));
    }
    output.print(&object, lines);
    Ok(())
}

fn device_line(device: &DeviceInfo) -> String {
    let name = device.name.as_deref().unwrap_or_default();
    format!("device {} {name} {:?} {:?}{}", device.id, device.scope, device.status, seen_of(device))
}
