//! Entries whose content was put aside: listed, tried again, accepted.

use roost::{DeviceId, DocumentId, Quarantined, Workspace};
use serde_json::{Value, json};

use super::documents::shown;
use super::offline;
use crate::args::{Cli, QuarantineCommand};
use crate::output::{Failure, Output};

pub async fn quarantine(cli: &Cli, output: &Output, command: Option<&QuarantineCommand>) -> Result<(), Failure> {
    let done = offline(cli, |workspace| match command {
        None => list(workspace, output),
        Some(QuarantineCommand::Retry { seq }) => retry(workspace, output, *seq),
        Some(QuarantineCommand::Accept { seq }) => accept(workspace, output, *seq),
    });
    done.await
}

fn list(workspace: &Workspace, output: &Output) -> Result<(), Failure> {
    let (found, documents, devices) = (workspace.quarantine()?, workspace.documents()?, workspace.devices());
    let shown = shown(&documents);
    let document_of = |id: DocumentId| documents.iter().position(|(listed, _)| *listed == id);
    let author_of = |id: DeviceId| devices.iter().find(|device| device.id == id).and_then(|device| device.name.clone());
    let line_of = |entry: &Quarantined| {
        let document = match entry.document {
            Some(id) => document_of(id).map_or_else(|| id.to_string(), |at| shown[at].clone()),
            None => "no document".to_owned(),
        };
        let author = author_of(entry.author).unwrap_or_else(|| entry.author.to_string());
        format!("{}  {document}  by {author}: {}", entry.seq, entry.reason)
    };
    let object_of = |entry: &Quarantined| {
        json!({
            "seq": entry.seq,
            "document": entry.document,
            "name": entry.document.and_then(document_of).map(|at| &documents[at].1),
            "author": entry.author,
            "author_name": author_of(entry.author),
            "reason": entry.reason,
        })
    };
    let objects: Vec<Value> = found.iter().map(object_of).collect();
    output.print(&json!({ "entries": objects }), found.iter().map(line_of));
    Ok(())
}

fn retry(workspace: &Workspace, output: &Output, seq: Option<u64>) -> Result<(), Failure> {
    if let Some(seq) = seq {
        is_listed(workspace, seq)?;
    }
    let merged = workspace.retry_quarantined(seq)?;
    let left = workspace.quarantine()?.len();
    output.print(&json!({ "merged": merged, "left": left }), [format!("{merged} merged, {left} still put aside")]);
    let failed = if seq.is_some() { merged == 0 } else { left > 0 };
    if failed {
        let what = "not everything merges: a newer version of roost may be able to; roost quarantine accept leaves an entry as it is";
        return Err(Failure::attention("quarantined", what));
    }
    Ok(())
}

fn accept(workspace: &Workspace, output: &Output, seq: u64) -> Result<(), Failure> {
    if !workspace.accept_quarantined(seq)? {
        return Err(none_of(seq));
    }
    output.print(&json!({ "accepted": seq }), [format!("entry {seq} is left as it is, and counted no longer")]);
    Ok(())
}

fn is_listed(workspace: &Workspace, seq: u64) -> Result<(), Failure> {
    let is_there = workspace.quarantine()?.iter().any(|entry| entry.seq == seq);
    if is_there { Ok(()) } else { Err(none_of(seq)) }
}

fn none_of(seq: u64) -> Failure {
    Failure::other(format!("no entry {seq} is put aside: roost quarantine lists those that are"))
}
