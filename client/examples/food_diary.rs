//! A food diary: foods, meals and notes on all of a person's devices, in two releases.
//!
//! ```sh
//! food_diary DIR create http://127.0.0.1:7070     # then: share, join LINK
//! food_diary DIR food apple 52                    # prints its id
//! food_diary DIR meal FOOD 2                      # two hours of it
//! food_diary DIR note monday 'too much'
//! food_diary DIR show                             # syncs first, if the server is there
//! ```
//! `--release 1` is the app as it was a year ago. Release 2 calls `kcal` energy and gives every food a unit (a view),
//! counts minutes instead of hours (a derivation) and keeps notes as lists of lines (a rewrite).

use std::process::ExitCode;
use std::time::Duration;

use roost::json::{Value, json};
use roost::loro::{LoroDoc, LoroResult};
use roost::schema::{Derive, Rewrite, Schema, View};
use roost::{Collection, Error, Fields, Merge, Record, RecordId, Roost, Scope, Sharing, Workspace};
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(60);
type Problem = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Serialize, Deserialize)]
struct Food {
    name: String,
    energy: i64,
    unit: String,
    /// How often it was eaten, on whichever device.
    #[serde(default)]
    eaten: i64,
}

impl Record for Food {
    const NAME: &str = "foods";

    fn fields(fields: Fields) -> Fields {
        fields.index("energy").merge("eaten", Merge::Counter)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Meal {
    food: String,
    minutes: i64,
}

impl Record for Meal {
    const NAME: &str = "meals";
}

/// The same, as release 1 had them.
#[derive(Debug, Serialize, Deserialize)]
struct OldFood {
    name: String,
    kcal: i64,
}

impl Record for OldFood {
    const NAME: &str = "foods";
}

#[derive(Debug, Serialize, Deserialize)]
struct OldMeal {
    food: String,
    hours: i64,
}

impl Record for OldMeal {
    const NAME: &str = "meals";
}

fn schema(release: u32) -> Schema {
    let first = Schema::new();
    if release == 1 {
        return first;
    }
    first.version(2, |version| {
        version
            .view(View::of("foods").renamed("kcal", "energy").default("unit", "100 g"))
            .derive("collections", Derive::each("meals", ["hours"], ["minutes"], minutes))
            .rewrite("note/*", Rewrite::of(["text"], into_lines))
    })
}

fn minutes(meal: &Value) -> Value {
    json!({ "minutes": meal["hours"].as_i64().unwrap_or(0) * 60 })
}

fn into_lines(loro: &LoroDoc) -> LoroResult<()> {
    let lines = loro.get_list("lines");
    loro.get_text("text").to_string().lines().try_for_each(|line| lines.push(line))
}

#[tokio::main]
async fn main() -> ExitCode {
    match app().await {
        Ok(said) => say(&said, false),
        Err(problem) => say(&problem.to_string(), true),
    }
}

async fn app() -> Result<String, Problem> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut release = 2;
    if arguments.len() > 1 && arguments[0] == "--release" {
        release = arguments.drain(..2).next_back().unwrap_or_default().parse()?;
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, command @ ..] = &words[..] else { return Err("food_diary [--release N] DIR COMMAND …".into()) };
    let roost = Roost::builder(*dir).schema(schema(release)).open().await?;
    let workspace = match command {
        ["create", server] => roost.create_workspace(server, "diary").await?,
        ["join", link] => roost.join(&link.parse()?, "diary").await?,
        _ => roost.only_workspace().await?,
    };
    let said = if release == 1 { first(&workspace, command).await } else { second(&workspace, command).await };
    // Saved here already; offline it goes out the next time.
    sync(&workspace).await;
    workspace.close().await;
    said
}

/// Until all is the same here and there, or the server is not to be reached: then it goes on the next time.
async fn sync(workspace: &Workspace) {
    let _ = workspace.wait_until(PATIENCE, |status| status.synced || status.trouble.is_some()).await;
}

/// What either release does.
async fn either(workspace: &Workspace, command: &[&str]) -> Result<String, Problem> {
    match command {
        ["create", _] | ["join", _] => Ok(workspace.id().to_string()),
        ["share"] => Ok(workspace.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await?.link.to_string()),
        other => Err(format!("this release knows no {}", other.join(" ")).into()),
    }
}

async fn first(workspace: &Workspace, command: &[&str]) -> Result<String, Problem> {
    let foods = workspace.collection::<OldFood>()?;
    let meals = workspace.collection::<OldMeal>()?;
    match command {
        ["food", name, kcal] => {
            Ok(foods.insert(&OldFood { name: (*name).to_owned(), kcal: kcal.parse()? })?.to_string())
        }
        ["meal", food, hours] => {
            Ok(meals.insert(&OldMeal { food: (*food).to_owned(), hours: hours.parse()? })?.to_string())
        }
        ["note", day, text] => {
            let note = workspace.document(&format!("note/{day}"))?;
            note.edit(|loro| {
                let held = loro.get_text("text");
                held.insert(held.len_unicode(), &format!("{text}\n"))
            })?;
            Ok(String::new())
        }
        other => either(workspace, other).await,
    }
}

async fn second(workspace: &Workspace, command: &[&str]) -> Result<String, Problem> {
    let foods = workspace.collection::<Food>()?;
    let meals = workspace.collection::<Meal>()?;
    match command {
        ["food", name, energy] => {
            let (name, unit) = ((*name).to_owned(), "piece".to_owned());
            Ok(foods.insert(&Food { name, energy: energy.parse()?, unit, eaten: 0 })?.to_string())
        }
        ["meal", food, hours] => eat(workspace, (&foods, &meals), food, hours.parse::<i64>()? * 60),
        ["note", day, text] => note(workspace, day, text),
        ["show"] => {
            sync(workspace).await;
            show(workspace, &foods, &meals)
        }
        other => either(workspace, other).await,
    }
}

/// The meal and the food's count are one commit.
fn eat(
    workspace: &Workspace,
    (foods, meals): (&Collection<Food>, &Collection<Meal>),
    food: &str,
    minutes: i64,
) -> Result<String, Problem> {
    let id = RecordId::new(food)?;
    let meal = workspace.batch(|batch| {
        batch.update(foods, &id, |food| food.eaten += 1)?;
        batch.insert(meals, &Meal { food: food.to_owned(), minutes })
    })?;
    Ok(meal.to_string())
}

/// Until the server was met once, a note may still be the text it was.
fn note(workspace: &Workspace, day: &str, line: &str) -> Result<String, Problem> {
    let note = workspace.document(&format!("note/{day}"))?;
    note.edit_by_schema(|schema, loro| match schema < 2 {
        true => {
            let text = loro.get_text("text");
            text.insert(text.len_unicode(), &format!("{line}\n"))
        }
        false => loro.get_list("lines").push(line),
    })?;
    Ok(String::new())
}

fn show(workspace: &Workspace, foods: &Collection<Food>, meals: &Collection<Meal>) -> Result<String, Problem> {
    let mut lines = Vec::new();
    for row in foods.query().order_by("name").run()?.rows {
        let Food { name, energy, unit, eaten } = row.record;
        lines.push(format!("{name}: {energy} kcal a {unit}, eaten {eaten} times"));
    }
    for (meal, food) in meals.query().order_by("minutes").with(foods, "food")? {
        let name = food.map_or_else(|| "something".to_owned(), |food| food.record.name);
        lines.push(format!("{} minutes of {name}", meal.record.minutes));
    }
    for (_, name) in workspace.documents()?.iter().filter(|(_, name)| name.starts_with("note/")) {
        lines.push(format!("{name}: {}", lines_of(workspace, name)?.join(" / ")));
    }
    Ok(lines.join("\n"))
}

fn lines_of(workspace: &Workspace, name: &str) -> Result<Vec<String>, Error> {
    let note = workspace.document(name)?;
    note.read_by_schema(|schema, loro| {
        if schema < 2 {
            return loro.get_text("text").to_string().lines().map(str::to_owned).collect();
        }
        let lines = Value::from(loro.get_list("lines").get_deep_value());
        let lines = lines.as_array().into_iter().flatten();
        lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()
    })
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is what the app says")]
fn say(text: &str, is_problem: bool) -> ExitCode {
    if is_problem {
        eprintln!("{text}");
        return ExitCode::FAILURE;
    }
    if !text.is_empty() {
        println!("{text}");
    }
    ExitCode::SUCCESS
}
