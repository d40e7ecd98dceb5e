//! The main job on this machine, in under a screen.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use roost::{Document, Roost, Scope, Sharing, Workspace};
use roost_server::config::Settings;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::documents::TEXT;
use crate::output::{Failure, Output, note};

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
    let say = |text: String| {
        if output.json { note(text) } else { crate::output::line(text) }
    };
    let (server, address) = serve(&dir.path().join("server")).await?;
    say(format!("1  A server runs at {address}. It keeps an ordered log of sealed bytes."));

    let laptop = device(dir.path(), "laptop").await?.create_workspace(&address, "laptop").await?;
    let on_laptop = laptop.document("recipes")?;
    on_laptop.edit(|loro| loro.get_text(TEXT).insert(0, SECRET))?;
    let shared = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await?;
    let phone = device(dir.path(), "phone").await?.join(&shared.link, "phone").await?;
    phone.wait_synced(PATIENCE).await?;
    let on_phone = phone.document("recipes")?;
    say("2  The laptop made a workspace, the phone joined by a share link that worked once.".to_owned());

    laptop.pause().await?;
    phone.pause().await?;
    on_laptop.edit(|loro| loro.get_text(TEXT).push_str("\n(laptop, offline) bake 45 minutes at 180 °C"))?;
    on_phone.edit(|loro| loro.get_text(TEXT).insert(0, "(phone, offline) buy plums!\n"))?;
    say("3  Both went offline and edited the same document.".to_owned());

    laptop.resume().await?;
    phone.resume().await?;
    let digest = agree(&laptop, &on_laptop, &phone, &on_phone).await?;
    let text = on_phone.read(|loro| loro.get_text(TEXT).to_string())?;
    say(format!("4  Online again, both hold the same text, and the same digest {}…:", &digest[..16]));
    say(text.lines().map(|line| format!("       {line}\n")).collect::<String>().trim_end().to_owned());

    let entries = laptop.status().cursor;
    laptop.close().await;
    phone.close().await;
    server.await?;
    let seen = search(&dir.path().join("server"), &["plum", "Marta", "laptop", "recipes"]);
    say(format!("5  The server holds {entries} entries. Searching its files for words of the text, names of"));
    say(format!("   documents and devices: {seen} hits."));
    if keep {
        let kept = dir.keep();
        say(format!("   Kept in {}", kept.display()));
    }
    if seen > 0 {
        return Err(Failure::attention("leak", "the server's files hold clear text"));
    }
    if output.json {
        output.print(&json!({ "digest": digest, "entries": entries, "hits": seen }), "");
    }
    Ok(())
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
