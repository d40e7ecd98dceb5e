//! Figures of what an app does with the SDK, on this machine: a live query among many records, the opening of a store of
//! many documents, a derivation, and what a document that is not in use costs.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use roost::json::{Value, json};
use roost::schema::{Derive, Schema};
use roost::{Collection, Fields, Live, Record, RecordId, Roost, Scope, Sharing, Workspace, field};
use roost_e2e::live::process::Server;
use roost_e2e::live::speaker::Problem;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// Records of the collection that a step derives from.
const DERIVED: usize = 10_000;
const DOCUMENTS: usize = 1_000;
const DOCUMENT_BYTES: usize = 20_000;
const ROUNDS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(600);

type Figures = Result<(), Problem>;

#[derive(Serialize, Deserialize)]
struct Todo {
    title: String,
    due: i64,
    done: bool,
}

impl Record for Todo {
    const NAME: &str = "todos";

    fn fields(fields: Fields) -> Fields {
        fields.index("due")
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            live(FEW).await?;
            live(MANY).await?;
            derive().await?;
            documents().await
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("app figures: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn id(number: usize) -> RecordId {
    match RecordId::new(&format!("{number:06}")) {
        Ok(id) => id,
        Err(error) => panic!("{error}"),
    }
}

fn fill(workspace: &Workspace, todos: &Collection<Todo>, count: usize) -> Figures {
    for from in (0..count).step_by(10_000) {
        workspace.batch(|batch| {
            (from..count.min(from + 10_000)).try_for_each(|number| {
                let due = i64::try_from(number).unwrap_or(0);
                batch.insert_as(todos, &id(number), &Todo { title: format!("todo {number}"), due, done: false })
            })
        })?;
    }
    Ok(())
}

/// A live query while another device edits, and while this one does.
async fn live(count: usize) -> Figures {
    let dir = tempfile::tempdir()?;
    let server = Server::start_quiet(&dir.path().join("server"), &[]);
    let laptop = Roost::builder(dir.path().join("laptop")).open().await?;
    let laptop = laptop.create_workspace(&server.address(), "laptop").await?;
    let todos = laptop.collection::<Todo>()?;
    fill(&laptop, &todos, count)?;
    laptop.wait_synced(PATIENCE).await?;
    let link = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await?.link;
    let phone = Roost::builder(dir.path().join("phone")).open().await?.join(&link, "phone").await?;
    phone.wait_synced(PATIENCE).await?;
    let theirs = phone.collection::<Todo>()?;
    let mut live = todos.query().filter(field("done").eq(false)).order_by("due").watch()?;
    let looked = live.looked_at();

    let (mut here, mut there) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Not the same record: of two writes that do not know of each other one would be hidden.
        let (changed, other) = (id(round * 2), id(round * 2 + 1));
        here.push(timed(&mut live, || todos.set(&changed, "title", format!("here {round}"))).await?);
        there.push(timed(&mut live, || theirs.set(&other, "title", format!("there {round}"))).await?);
    }
    let looked = live.looked_at() - looked;
    say(&format!(
        "live query over {count} records: {:.2} ms p50 from an edit here to its diff ({:.2} ms of that the edit itself, durable), {:.2} ms from one on another device; {:.2} records looked at a change",
        median(&mut here.iter().map(|(whole, _)| *whole).collect::<Vec<_>>()),
        median(&mut here.iter().map(|(_, edit)| *edit).collect::<Vec<_>>()),
        median(&mut there.iter().map(|(whole, _)| *whole).collect::<Vec<_>>()),
        looked as f64 / (2 * ROUNDS) as f64,
    ));
    laptop.close().await;
    phone.close().await;
    server.terminate();
    Ok(())
}

/// Milliseconds until the diff came, and until the edit returned.
async fn timed(live: &mut Live<Todo>, edit: impl FnOnce() -> Result<(), roost::Error>) -> Result<(f64, f64), Problem> {
    let started = Instant::now();
    edit()?;
    let edited = started.elapsed();
    let diff = tokio::time::timeout(PATIENCE, live.next()).await?.ok_or("the workspace is closed")??;
    let whole = started.elapsed();
    if diff.changed.len() != 1 {
        return Err(format!("{} records changed", diff.changed.len()).into());
    }
    Ok((whole.as_secs_f64() * 1e3, edited.as_secs_f64() * 1e3))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn offline(dir: &Path, schema: Schema) -> Result<Workspace, Problem> {
    let roost = Roost::builder(dir).schema(schema).paused(true).open().await?;
    Ok(match roost.workspaces()?.first() {
        Some(id) => roost.workspace(*id).await?,
        None => roost.create_workspace("http://127.0.0.1:1", "laptop").await?,
    })
}

async fn derive() -> Figures {
    let dir = tempfile::tempdir()?;
    let workspace = offline(dir.path(), Schema::new()).await?;
    let todos = workspace.collection::<Todo>()?;
    fill(&workspace, &todos, DERIVED)?;
    drop(todos);
    workspace.close().await;
    let week = |todo: &Value| json!({ "week": todo["due"].as_i64().unwrap_or(0) / 7 });
    let second = || {
        Schema::new()
            .version(2, |version| version.derive("collections", Derive::each("todos", ["due"], ["week"], week)))
    };
    let started = Instant::now();
    let workspace = offline(dir.path(), second()).await?;
    let first = started.elapsed();
    workspace.close().await;
    let started = Instant::now();
    let workspace = offline(dir.path(), second()).await?;
    let again = started.elapsed();
    let todos = workspace.collection::<Todo>()?;
    todos.set(&id(5), "due", 70)?;
    let started = Instant::now();
    todos.set(&id(5), "due", 77)?;
    let one = started.elapsed();
    if todos.query().filter(field("week").eq(11)).count()? < 7 {
        return Err("it was not derived".into());
    }
    workspace.close().await;
    say(&format!(
        "a derivation of {DERIVED} records: {} ms with the backup, at the opening; the next opening {} ms; with one record's edit {:.2} ms",
        first.as_millis(),
        again.as_millis(),
        one.as_secs_f64() * 1e3,
    ));
    Ok(())
}

/// Many documents in one store: how soon the first is usable, and what those that are not in use cost.
async fn documents() -> Figures {
    let dir = tempfile::tempdir()?;
    let workspace = offline(dir.path(), Schema::default()).await?;
    let text = "a word or two ".repeat(DOCUMENT_BYTES / 14);
    for number in 0..DOCUMENTS {
        let document = workspace.document(&format!("note {number}"))?;
        document.edit(|loro| loro.get_text("text").insert(0, &text))?;
    }
    workspace.close().await;
    let started = Instant::now();
    let workspace = offline(dir.path(), Schema::default()).await?;
    let length = |number: usize| -> Result<usize, Problem> {
        Ok(workspace.document(&format!("note {number}"))?.read(|loro| loro.get_text("text").len_unicode())?)
    };
    length(0)?;
    let first = started.elapsed();
    // The first hundred fill what memory is kept for; whoever comes after takes their place.
    (0..DOCUMENTS / 10).try_for_each(|number| length(number).map(|_| ()))?;
    let before = resident_bytes()?;
    (DOCUMENTS / 10..DOCUMENTS).try_for_each(|number| length(number).map(|_| ()))?;
    let grown = resident_bytes().map(|after| after.saturating_sub(before))?;
    workspace.close().await;
    say(&format!(
        "a store of {DOCUMENTS} documents of {DOCUMENT_BYTES} bytes: the first usable after {} ms (aim 50); {} bytes of memory for each that is closed (aim 0)",
        first.as_millis(),
        grown / (DOCUMENTS - DOCUMENTS / 10),
    ));
    Ok(())
}

fn resident_bytes() -> Result<usize, Problem> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("no statm")?.parse()?;
    Ok(pages * 4_096)
}
