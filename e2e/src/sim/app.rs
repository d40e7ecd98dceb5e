//! An app that was released four times, on devices that are updated one by one.
//!
//! | version | |
//! |---|---|
//! | 1 | a diary of meals with hours, and notes: one text, a line each |
//! | 2 | the diary derives minutes from hours |
//! | 3 | the notes are rewritten: a list, an item for each line |
//! | 4 | the diary derives seconds from minutes |

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use roost::Scope;
use roost::json::{Value, json};
use roost::loro::{ExportMode, LoroDoc, LoroMap, LoroResult};
use roost::replica::{EditError, Replica};
use roost::schema::{Derive, Rewrite, Schema, Version};

use super::device::type_mark;
use super::plant::Plant;
use super::random::Random;

/// The newest release.
pub const NEWEST: u32 = 4;
/// From here on the notes are a list.
const LIST_FROM: u32 = 3;
const NOTES: &str = "notes";
const DIARY: &str = "diary";
const MEALS: u64 = 4;

/// The app as it is installed on one device.
#[derive(Clone)]
pub struct App {
    pub version: u32,
    /// The process dies in the step that counts this down to 0.
    dies_in: Arc<AtomicU32>,
    plant: Option<Plant>,
    /// The highest version the notes needed so far.
    gate: u32,
}

impl App {
    pub fn new(version: u32, plant: Option<Plant>) -> Self {
        Self { version, dies_in: Arc::default(), plant, gate: 0 }
    }

    /// The process dies in the nth step from now; 0 is never.
    pub fn die_in(&self, step: u32) {
        self.dies_in.store(step, Ordering::Relaxed);
    }

    pub fn schema(&self) -> Schema {
        let mut schema = Schema::new();
        for number in 2..=self.version {
            schema = schema.version(number, |version| self.steps(number, version));
        }
        schema
    }

    fn steps(&self, number: u32, version: Version) -> Version {
        let dies_in = Arc::clone(&self.dies_in);
        let times = |from: &'static str, to: &'static str| {
            let dies_in = Arc::clone(&dies_in);
            Derive::each("meals", [from], [to], move |meal: &Value| {
                step(&dies_in);
                json!({ to: meal[from].as_i64().unwrap_or(0) * 60 })
            })
        };
        match number {
            2 => version.derive(DIARY, times("hours", "minutes")),
            4 => version.derive(DIARY, times("minutes", "seconds")),
            _ => version.rewrite(
                NOTES,
                Rewrite::of(["text"], move |loro| {
                    step(&dies_in);
                    into_lines(loro)
                }),
            ),
        }
    }

    /// A person does something; into which document, unless it is one of a newer app.
    pub fn edit(
        &mut self,
        replica: &mut Replica,
        random: &mut Random,
        key: &str,
    ) -> Result<Option<&'static str>, String> {
        let name = if random.one_in(2) { NOTES } else { DIARY };
        let id = replica.named(name).map_err(|error| error.to_string())?;
        let at = replica.schema_of(id).map_err(|error| error.to_string())?;
        let (meal, amount) = (format!("meal {}", random.below(MEALS)), random.below(9));
        let field = if self.version >= 2 && random.one_in(4) { "minutes" } else { "hours" };
        let deletes = random.one_in(8);
        let edited = replica.edit(id, |loro| {
            type_mark(loro, key, amount)?;
            match name {
                NOTES if at < LIST_FROM => {
                    let text = loro.get_text("text");
                    text.insert(text.len_unicode(), &format!("{key}\n"))
                }
                NOTES => loro.get_list("lines").push(key),
                _ => {
                    let meal = loro.get_map("meals").ensure_mergeable_map(&meal)?;
                    if deletes && meal.get("hours").is_some() {
                        return meal.delete("hours");
                    }
                    meal.insert(field, i64::try_from(amount).unwrap_or(0))
                }
            }
        });
        match edited {
            Ok(()) => self.check_gate(replica).map(|()| Some(name)),
            Err(EditError::Behind { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What the notes need only rises.
    pub fn check_gate(&mut self, replica: &mut Replica) -> Result<(), String> {
        let id = replica.named(NOTES).map_err(|error| error.to_string())?;
        let gate = replica.read(id, |loro| {
            let mut highest = 0;
            loro.get_map("~schema").for_each(|_, value| {
                highest = highest.max(value.get_deep_value().as_i64().copied().unwrap_or(0));
            });
            u32::try_from(highest).unwrap_or(0)
        });
        let gate = gate.map_err(|error| error.to_string())?;
        let fell = gate < self.gate;
        let said = format!("the gate of the notes fell from {} to {gate}", self.gate);
        self.gate = gate;
        if fell { Err(said) } else { Ok(()) }
    }

    /// Its file is another one than before.
    pub fn forget(&mut self) {
        self.gate = 0;
    }

    /// What an app with a planted bug does when it has started.
    pub fn started(&self, replica: &mut Replica) {
        let Some(plant) = self.plant else { return };
        let wreck: fn(&LoroDoc, u32) -> LoroResult<()> = match plant {
            Plant::MigrationPeerFixed if self.version >= 2 => migrate_as_seven,
            Plant::StepNotRepeatable if self.version >= LIST_FROM => |loro, _| into_lines(loro),
            Plant::GateIsScalar => gate_as_scalar,
            Plant::LegacyKeyDeleted if self.version >= LIST_FROM => |loro, _| {
                let text = loro.get_text("text");
                text.delete(0, text.len_unicode())
            },
            _ => return,
        };
        let name = if plant == Plant::MigrationPeerFixed { DIARY } else { NOTES };
        let version = self.version;
        let wrecked = replica.named(name).map(|id| replica.edit(id, |loro| wreck(loro, version)));
        drop(wrecked); // a reader's app, or one that is behind, does no harm
    }

    /// At rest under the newest version: what each edit came to.
    pub fn check(&self, replica: &mut Replica, lines: &[String], may_double: bool) -> Result<(), String> {
        let notes = replica.named(NOTES).map_err(|error| error.to_string())?;
        // What an older app merged, who may only read is not told: it could do nothing about it.
        let late = replica.scope() == Some(roost::Scope::Read)
            || !replica.late_edits().map_err(|error| error.to_string())?.is_empty();
        let (text, list) = replica
            .read(notes, |loro| (loro.get_text("text").to_string(), loro.get_list("lines").get_deep_value()))
            .map_err(|error| error.to_string())?;
        let list: Vec<String> = match list.into_list() {
            Ok(list) => list.iter().filter_map(|line| line.as_string().map(|line| line.as_str().to_owned())).collect(),
            Err(_) => Vec::new(),
        };
        for line in lines {
            let times = list.iter().filter(|held| *held == line).count();
            let waits = late && text.lines().any(|held| held == line);
            match times {
                0 if !waits => return Err(format!("the line {line} is nowhere")),
                2.. if !may_double => return Err(format!("the line {line} is there {times} times")),
                _ => {}
            }
        }
        if replica.scope() != Some(Scope::ReadWrite) {
            return Ok(()); // what it wrote before it was made a reader stays with it, and is derived by nobody
        }
        let diary = replica.named(DIARY).map_err(|error| error.to_string())?;
        replica.read(diary, check_diary).map_err(|error| error.to_string())?
    }
}

/// A step of a migration, in which the process may die.
fn step(dies_in: &AtomicU32) {
    let left = dies_in.load(Ordering::Relaxed);
    dies_in.store(left.saturating_sub(1), Ordering::Relaxed);
    if left == 1 {
        resume_unwind(Box::new("the process dies"));
    }
}

fn into_lines(loro: &LoroDoc) -> LoroResult<()> {
    let lines = loro.get_list("lines");
    loro.get_text("text").to_string().lines().try_for_each(|line| lines.push(line))
}

/// Every device migrates for itself, under one peer id.
fn migrate_as_seven(loro: &LoroDoc, _: u32) -> LoroResult<()> {
    let fork = loro.fork();
    fork.set_peer_id(7)?;
    for meal in fork.get_map("meals").keys().collect::<Vec<_>>() {
        let meal = fork.get_map("meals").ensure_mergeable_map(&meal)?;
        let hours = number(&meal, "hours").unwrap_or(0);
        meal.insert("kilos", hours)?;
    }
    fork.commit();
    loro.import(&fork.export(ExportMode::updates(&loro.oplog_vv()))?).map(|_| ())
}

/// One register for the version: the last writer wins.
fn gate_as_scalar(loro: &LoroDoc, version: u32) -> LoroResult<()> {
    let gate = loro.get_map("~schema");
    for key in gate.keys().filter(|key| key.as_str() != "gate").collect::<Vec<_>>() {
        gate.delete(&key)?;
    }
    gate.insert("gate", i64::from(version))
}

fn number(map: &LoroMap, key: &str) -> Option<i64> {
    map.get(key)?.get_deep_value().as_i64().copied()
}

/// What stands in the register of a derived field.
fn derived(meal: &LoroMap, field: &str) -> Option<i64> {
    let register = meal.get(&format!("~derived:{field}"))?.get_deep_value().into_map().ok()?;
    register.get("value").and_then(|value| value.as_i64().copied())
}

fn check_diary(loro: &LoroDoc) -> Result<(), String> {
    let meals = loro.get_map("meals");
    for key in meals.keys().collect::<Vec<_>>() {
        let Some(meal) = meals.get(&key).and_then(|meal| meal.into_container().ok()?.into_map().ok()) else { continue };
        let minutes = number(&meal, "hours").map(|hours| hours * 60);
        if derived(&meal, "minutes") != minutes {
            return Err(format!("{key} has {minutes:?} minutes, derived were {:?}", derived(&meal, "minutes")));
        }
        let seconds = number(&meal, "minutes").or(minutes).map(|minutes| minutes * 60);
        if derived(&meal, "seconds") != seconds {
            return Err(format!("{key} has {seconds:?} seconds, derived were {:?}", derived(&meal, "seconds")));
        }
    }
    Ok(())
}
