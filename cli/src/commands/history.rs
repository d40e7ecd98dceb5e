//! Back in time.

use roost::{Document, Error, Revision, Version, VersionError, Workspace};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::documents::{ROOT, TEXT, on_document};
use crate::args::Cli;
use crate::output::{Failure, Output, exactly, json_line};

pub async fn history(
    cli: &Cli,
    output: &Output,
    document: &str,
    at: Option<&str>,
    restore: bool,
) -> Result<(), Failure> {
    let done = on_document(cli, document, |workspace, document| match at {
        None => list(workspace, document, output),
        Some(at) if restore => {
            let version = version_of(document, at)?;
            document.restore(&version)?;
            let text = format!("as it was at {version}, by an edit");
            output.print(&json!({ "restored": version.to_string() }), [text]);
            Ok(())
        }
        Some(at) => show(document, at, output),
    });
    done.await
}

fn list(workspace: &Workspace, document: &Document, output: &Output) -> Result<(), Failure> {
    let revisions = document.history()?;
    let names = workspace.devices();
    let name_of = |revision: &Revision| {
        let device = names.iter().find(|device| Some(device.id) == revision.device);
        device.and_then(|device| device.name.clone())
    };
    let listed: Vec<Value> = revisions.iter().map(|revision| object_of(revision, name_of(revision))).collect();
    output.print(&json!({ "revisions": listed }), listed.iter().map(line_of));
    Ok(())
}

/// As `cat` and `get` show it: the text exactly.
fn show(document: &Document, at: &str, output: &Output) -> Result<(), Failure> {
    let version = version_of(document, at)?;
    let (text, data) = document.read_at(&version, |loro| {
        (loro.get_text(TEXT).to_string(), Value::from(loro.get_map(ROOT).get_deep_value()))
    })?;
    if output.json {
        json_line(&json!({ "version": version.to_string(), "text": text, "data": data }));
    } else {
        exactly(&format!("{text}\n"));
    }
    Ok(())
}

pub async fn undo(cli: &Cli, output: &Output, document: &str) -> Result<(), Failure> {
    let undone = on_document(cli, document, |_, document| Ok(document.undo()?)).await?;
    if !undone {
        return Err(Failure::other("this device has made no edit of it that could be undone"));
    }
    output.print(&json!({ "undone": true }), ["undone; what others wrote stays"]);
    Ok(())
}

/// A version as history lists it, or the one of a time.
fn version_of(document: &Document, at: &str) -> Result<Version, Failure> {
    if at.contains('@') {
        return Ok(at.parse().map_err(|error: VersionError| Error::from(error))?);
    }
    let seconds = at.parse().ok().or_else(|| Some(OffsetDateTime::parse(at, &Rfc3339).ok()?.unix_timestamp()));
    let wrong = || {
        Failure::other(format!(
            "{at} is neither a version nor a time: give 12@345 as history lists them, 2026-11-21T09:30:00Z, or seconds since 1970"
        ))
    };
    Ok(document.version_at(seconds.ok_or_else(wrong)?)?)
}

fn object_of(revision: &Revision, name: Option<String>) -> Value {
    json!({
        "version": revision.version.to_string(),
        "at": revision.at_s,
        "device": revision.device,
        "name": name,
        "operations": revision.operations,
    })
}

fn line_of(revision: &Value) -> String {
    let at_s = revision["at"].as_i64().unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(at_s).ok().and_then(|time| time.format(&Rfc3339).ok());
    let (version, operations) = (revision["version"].as_str().unwrap_or_default(), &revision["operations"]);
    let who = revision["name"].as_str().unwrap_or("a device not known here");
    format!("{version}  {}  {who}  {operations} operations", time.unwrap_or_else(|| at_s.to_string()))
}
