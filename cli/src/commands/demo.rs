//! The main job on this machine, in under a screen.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use roost::{Document, Roost, Scope, Sharing, Workspace};
use roost_server::config::Settings;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::closing;
use super::documents::TEXT;
use crate::output::{Failure, Output, json_line, line, note};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "Aunt Marta's plum cake: 500 g of plums";

/// The server's settings with their defaults.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    settings: Settings,
}

pub async fn demo(output: &Output, keep: bool) -> Result<(), Failure> {
    let dir = tempfile::tempdir().map_err(Failure::other)?;
    let (server, address) = serve(&dir.path().join("server")).await?;
    say(output, format!("1  A server runs at {address}. It keeps an ordered log of sealed bytes."));

    let laptop = device(dir.path(), "laptop").await?.create_workspace(&address, "laptop").await?;
    let shown = closing(laptop, async |laptop| {
        laptop.document("recipes")?.edit(|loro| loro.get_text(TEXT).insert(0, SECRET))?;
        let shared = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await?;
        let phone = device(dir.path(), "phone").await?.join(&shared.link, "phone").await?;
        closing(phone, async |phone| meet(output, laptop, phone).await).await
    });
    let (digest, entries) = shown.await?;
    server.await?;
    let seen = search(&dir.path().join("server"), &["plum", "Marta", "laptop", "recipes"]);
    say(output, format!("5  The server holds {entries} entries. Searching its files for words of the text, names of"));
    say(output, format!("   documents and devices: {seen} hits."));
    if keep {
        let kept = dir.keep();
        say(output, format!("   Kept in {}", kept.display()));
    }
    if seen > 0 {
        return Err(Failure::attention("leak", "the server's files hold clear text"));
    }
    if output.json {
        json_line(&json!({ "digest": digest, "entries": entries, "hits": seen }));
    }
    Ok(())
}

/// Both edit offline and agree; the digest that they agree on, and how many entries that took.
async fn meet(output: &Output, laptop: &Workspace, phone: &Workspace) -> Result<(String, u64), Failure> {
    phone.wait_synced(PATIENCE).await?;
    let (on_laptop, on_phone) = (laptop.document("recipes")?, phone.document("recipes")?);
    say(output, "2  The laptop made a workspace, the phone joined by a share link that worked once.");

    laptop.pause().await?;
    phone.pause().await?;
    on_laptop.edit(|loro| loro.get_text(TEXT).push_str("\n(laptop, offline) bake 45 minutes at 180 °C"))?;
    on_phone.edit(|loro| loro.get_text(TEXT).insert(0, "(phone, offline) buy plums!\n"))?;
    say(output, "3  Both went offline and edited the same document.");

    laptop.resume().await?;
    phone.resume().await?;
    let digest = agree(laptop, &on_laptop, phone, &on_phone).await?;
    let text = on_phone.read(|loro| loro.get_text(TEXT).to_string())?;
    say(output, format!("4  Online again, both hold the same text, and the same digest {}…:", &digest[..16]));
    for line in text.lines() {
        say(output, format!("       {line}"));
    }
    Ok((digest, laptop.status().cursor))
}

/// Beside the one object that `--json` prints, what is told goes to standard error.
fn say(output: &Output, text: impl Display) {
    if output.json { note(text) } else { line(text) }
}

async fn device(dir: &Path, name: &str) -> Result<Roost, Failure> {
    Ok(Roost::builder(dir.join(name)).open().await?)
}

/// Runs a server; the future stops it.
async fn serve(dir: &Path) -> Result<(impl Future<Output = Result<(), Failure>> + use<>, String), Failure> {
    let dir = dir.to_string_lossy().into_owned();
    let arguments = ["roost-server", "--listen", "127.0.0.1:0", "--data-dir", &dir];
    let settings = Defaults::try_parse_from(arguments).map_err(Failure::other)?.settings;
    let listener = TcpListener::bind(settings.listen).await.map_err(Failure::other)?;
    let address = listener.local_addr().map_err(Failure::other)?;
    let store = settings.open_store().await.map_err(Failure::other)?;
    let config = settings.config(address).map_err(Failure::other)?;
    let stop = CancellationToken::new();
    let served = tokio::spawn(roost_server::serve(listener, config, store, stop.clone()));
    let stopped = async move {
        stop.cancel();
        served.await.map_err(Failure::other)
    };
    Ok((stopped, format!("http://{address}")))
}

/// Waits until both are synced and hold the same.
async fn agree(one: &Workspace, on_one: &Document, other: &Workspace, on_other: &Document) -> Result<String, Failure> {
    let (mut changes, mut others) = (on_one.changes(), on_other.changes());
    loop {
        one.wait_synced(PATIENCE).await?;
        other.wait_synced(PATIENCE).await?;
        let digest = on_one.digest()?.digest;
        if digest == on_other.digest()?.digest {
            return Ok(digest.to_string());
        }
        // Synced is as of the tail that each was told; the other's last entry may be on its way still.
        let either = async {
            tokio::select! {
                _ = changes.next() => {}
                _ = others.next() => {}
            }
        };
        tokio::time::timeout(PATIENCE, either)
            .await
            .map_err(|_| Failure::temporary("the devices did not agree in time"))?;
    }
}

/// How often any of the words stands in any file.
fn search(dir: &Path, words: &[&str]) -> usize {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let contents = files.filter_map(|file| std::fs::read(file.path()).ok());
    contents.map(|bytes| words.iter().map(|word| count(&bytes, word.as_bytes())).sum::<usize>()).sum()
}

fn count(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).filter(|window| *window == word).count()
}
