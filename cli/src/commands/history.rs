//! Back in time.

use roost::{Document, Error, Revision, Version, VersionError};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::documents::{ROOT, TEXT, open};
use crate::args::Cli;
use crate::output::{Failure, Output};

pub async fn history(
    cli: &Cli,
    output: &Output,
    document: &str,
    at: Option<&str>,
    restore: bool,
) -> Result<(), Failure> {
    let (workspace, document) = open(cli, document).await?;
    let Some(at) = at else {
        let revisions = document.history()?;
        let names = workspace.devices();
        let name_of = |revision: &Revision| {
            let device = names.iter().find(|device| Some(device.id) == revision.device);
            device.and_then(|device| device.name.clone())
        };
        let listed: Vec<Value> = revisions.iter().map(|revision| object_of(revision, name_of(revision))).collect();
        let lines: Vec<String> = listed.iter().map(line_of).collect();
        output.print(&json!({ "revisions": listed }), lines.join("\n"));
        return Ok(());
    };
    let version = version_of(&document, at)?;
    if restore {
        document.restore(&version)?;
        output.print(&json!({ "restored": version.to_string() }), format!("as it was at {version}, by an edit"));
        return Ok(());
    }
    let (text, data) = document.read_at(&version, |loro| {
        (loro.get_text(TEXT).to_string(), Value::from(loro.get_map(ROOT).get_deep_value()))
    })?;
    output.print(&json!({ "version": version.to_string(), "text": text, "data": data }), &text);
    Ok(())
}

pub async fn undo(cli: &Cli, output: &Output, document: &str) -> Result<(), Failure> {
    let undone = open(cli, document).await?.1.undo()?;
    if !undone {
        return Err(Failure::other("this device has made no edit of it that could be undone"));
    }
    output.print(&json!({ "undone": true }), "undone; what others wrote stays");
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
