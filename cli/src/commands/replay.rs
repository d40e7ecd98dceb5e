//! Types a recorded trace, and syncs meanwhile.

use std::time::Duration;

use roost::Document;
use roost::loro::{LoroDoc, LoroResult};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::documents::TEXT;
use super::online;
use crate::args::{Cli, Replay};
use crate::output::{Failure, Output, Progress};
use crate::trace::{Patch, Trace};

/// The root map that remembers how far each trace was typed, in the very commits that typed it.
const PROGRESS: &str = "replay";

pub async fn replay(cli: &Cli, output: &Output, args: &Replay) -> Result<(), Failure> {
    let trace = Trace::read(&args.trace)?;
    let typed = online(cli, async |workspace| {
        let document = workspace.document(&args.document)?;
        let started = Instant::now();
        let commits = type_all(&document, &trace, args).await?;
        let text = document.read(|loro| loro.get_text(TEXT).to_string())?;
        Ok((commits, text, started.elapsed().as_secs_f64()))
    });
    let (commits, text, seconds) = typed.await?;
    let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
    let edits = trace.patches.len();
    output.print(
        &json!({ "edits": edits, "commits": commits, "seconds": seconds, "sha256": sha256 }),
        [format!("typed {edits} edits in {commits} commits and {seconds:.1} s"), format!("sha256 {sha256}")],
    );
    Ok(())
}

/// Goes on after the last durable commit; says how many commits this run made.
async fn type_all(document: &Document, trace: &Trace, args: &Replay) -> Result<u64, Failure> {
    let total = trace.patches.len();
    let mut done = usize::try_from(document.read(|loro| typed(loro, &trace.id))?).unwrap_or(0).min(total);
    let mut progress = Progress::new(total as u64);
    let every = usize::try_from(args.commit_every).unwrap_or(usize::MAX);
    let started = Instant::now();
    let (first, mut commits) = (done, 0);
    while done < total {
        let until = done.saturating_add(every).min(total);
        document.edit(|loro| type_some(loro, &trace.id, &trace.patches[done..until], until))?;
        done = until;
        commits += 1;
        progress.at(done as u64);
        if let Some(rate) = args.rate {
            // By the run's own clock, so that slow commits do not add up.
            let due = Duration::from_secs_f64((done - first) as f64 / rate as f64);
            tokio::time::sleep_until(started + due).await;
        }
    }
    Ok(commits)
}

fn typed(loro: &LoroDoc, trace: &str) -> u64 {
    let found = loro.get_map(PROGRESS).get(trace).map(|value| value.get_deep_value());
    found.and_then(|value| value.into_i64().ok()).map_or(0, i64::unsigned_abs)
}

fn type_some(loro: &LoroDoc, trace: &str, patches: &[Patch], until: usize) -> LoroResult<()> {
    let text = loro.get_text(TEXT);
    for Patch(position, deleted, inserted) in patches {
        if *deleted > 0 {
            text.delete(*position, *deleted)?;
        }
        if !inserted.is_empty() {
            text.insert(*position, inserted)?;
        }
    }
    loro.get_map(PROGRESS).insert(trace, i64::try_from(until).unwrap_or(i64::MAX))
}
