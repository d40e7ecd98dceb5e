//! Who is in the workspace: shown, and changed by the owner.

use std::time::Duration;

use roost::clock::{Clock as _, SystemClock};
use roost::{DeviceId, DeviceInfo, DeviceStatus, Workspace};
use serde_json::{Value, json};

use super::membership::PATIENCE;
use super::online;
use super::verdict::is_known;
use crate::args::{Cli, ScopeArg};
use crate::output::{Failure, Output};

/// How long a list waits for the server before it shows what this device knows.
const LOOK: Duration = Duration::from_secs(3);

pub async fn devices(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let is_device = |device: &DeviceInfo| matches!(device.status, DeviceStatus::Active | DeviceStatus::Revoked);
    let (own, found) = look(cli, is_device).await?;
    let objects: Vec<Value> = found.iter().map(object_of).collect();
    output.print(&Value::from(objects), found.iter().map(|device| line_of(device, own)));
    Ok(())
}

pub async fn links(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let (_, found) = look(cli, |device| device.status == DeviceStatus::Invite).await?;
    let line_of =
        |link: &DeviceInfo| format!("{} {:?} until {} ms", link.id, link.scope, link.expires_at_ms.unwrap_or(0));
    let objects: Vec<Value> = found
        .iter()
        .map(|link| json!({ "id": link.id, "scope": link.scope, "expires_at": link.expires_at_ms }))
        .collect();
    output.print(&Value::from(objects), found.iter().map(line_of));
    Ok(())
}

/// What the roster lists, as new as the server lets it be; and this device.
async fn look(cli: &Cli, wanted: impl Fn(&DeviceInfo) -> bool) -> Result<(DeviceId, Vec<DeviceInfo>), Failure> {
    let looked = online(cli, async |workspace| {
        // Offline is an answer too.
        let _ = workspace.wait_until(LOOK, is_known).await;
        Ok((workspace.device(), workspace.devices()))
    });
    let (own, found) = looked.await?;
    Ok((own, found.into_iter().filter(wanted).collect()))
}

pub fn object_of(device: &DeviceInfo) -> Value {
    json!({
        "device": device.id,
        "name": device.name,
        "scope": device.scope,
        "status": device.status,
        "seen_seq": device.seen_seq,
        "seen_at": device.seen_at_ms,
    })
}

fn line_of(device: &DeviceInfo, own: DeviceId) -> String {
    let name = device.name.as_deref().unwrap_or("(no name)");
    let this = if device.id == own { " (this device)" } else { "" };
    format!("{} {name} {:?} {:?}{this}{}", device.id, device.scope, device.status, seen_of(device))
}

/// How far a device had read when it last told, and how long ago that was.
pub fn seen_of(device: &DeviceInfo) -> String {
    let Some(at_ms) = device.seen_at_ms else { return String::new() };
    let ago_s = SystemClock.now_ms().saturating_sub(at_ms) / 1_000;
    let place = device.seen_seq.map_or_else(|| "before the log was replaced".to_owned(), |seq| format!("at {seq}"));
    format!(", last seen {place}, {}", ago_of(ago_s))
}

fn ago_of(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

pub async fn revoke(cli: &Cli, output: &Output, device: &str) -> Result<(), Failure> {
    let revoked = online(cli, async |workspace| {
        let id = find(workspace, device, DeviceStatus::Active).await?;
        workspace.revoke(id, PATIENCE).await?;
        Ok(id)
    });
    say(output, revoked.await?, "is out: what is written from now on it cannot open");
    Ok(())
}

pub async fn rename(cli: &Cli, output: &Output, device: &str, name: &str) -> Result<(), Failure> {
    let renamed = online(cli, async |workspace| {
        let id = find(workspace, device, DeviceStatus::Active).await?;
        workspace.rename(id, name, PATIENCE).await?;
        Ok(id)
    });
    say(output, renamed.await?, &format!("is called {name}"));
    Ok(())
}

pub async fn set_scope(cli: &Cli, output: &Output, device: &str, scope: ScopeArg) -> Result<(), Failure> {
    let changed = online(cli, async |workspace| {
        let id = find(workspace, device, DeviceStatus::Active).await?;
        workspace.set_scope(id, scope.into(), PATIENCE).await?;
        Ok(id)
    });
    let what = match scope {
        ScopeArg::Read => "only reads from now on",
        ScopeArg::ReadWrite => "may write from now on",
    };
    say(output, changed.await?, what);
    Ok(())
}

pub async fn unlink(cli: &Cli, output: &Output, id: &str) -> Result<(), Failure> {
    let withdrawn = online(cli, async |workspace| {
        let id = find(workspace, id, DeviceStatus::Invite).await?;
        workspace.revoke(id, PATIENCE).await?;
        Ok(id)
    });
    say(output, withdrawn.await?, "lets nobody in any more");
    Ok(())
}

fn say(output: &Output, id: DeviceId, what: &str) {
    output.print(&json!({ "device": id }), [format!("{id} {what}")]);
}

/// The one device or link of this id or name.
async fn find(workspace: &Workspace, text: &str, status: DeviceStatus) -> Result<DeviceId, Failure> {
    workspace.wait_caught_up(PATIENCE).await?;
    let devices = workspace.devices();
    let id: Option<DeviceId> = text.parse().ok();
    let is_meant = |device: &&DeviceInfo| match id {
        Some(id) => device.id == id,
        None => device.name.as_deref() == Some(text),
    };
    let mut found = devices.iter().filter(|device| device.status == status).filter(is_meant);
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device.id),
        (Some(_), Some(_)) => {
            Err(Failure::other(format!("several devices are called {text}: give the id (roost devices)")))
        }
        (None, _) => {
            Err(Failure::other(format!("nothing here is called {text}: roost devices and roost links list all")))
        }
    }
}
