//! An outliner: a tree of texts on all of a person's devices, with undo and history.
//!
//! ```sh
//! outliner DIR create http://127.0.0.1:7070       # then: share, join LINK
//! outliner DIR add root groceries                 # prints the node
//! outliner DIR add NODE eggs
//! outliner DIR type NODE 'eggs, ten of them'      # what another device types into it meanwhile stays
//! outliner DIR move NODE PARENT
//! outliner DIR undo                               # and redo; also after a restart, and never another device's work
//! outliner DIR history                            # then: show VERSION, restore VERSION
//! outliner DIR show                               # syncs first, if the server is there
//! ```

use std::process::ExitCode;
use std::time::Duration;

use roost::loro::{LoroDoc, LoroError, LoroResult, LoroText, LoroTree, TreeID, UpdateOptions};
use roost::{Document, Roost, Scope, Sharing, Workspace};

const PATIENCE: Duration = Duration::from_secs(60);
type Problem = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match app().await {
        Ok(said) => say(&said, false),
        Err(problem) => say(&problem.to_string(), true),
    }
}

async fn app() -> Result<String, Problem> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [dir, command @ ..] = &words[..] else { return Err("outliner DIR COMMAND …".into()) };
    // Each command is an edit of its own: nothing is undone together.
    let roost = Roost::builder(*dir).undo_pause(Duration::ZERO).open().await?;
    let workspace = match command {
        ["create", server] => roost.create_workspace(server, "outliner").await?,
        ["join", link] => roost.join(&link.parse()?, "outliner").await?,
        _ => roost.only_workspace().await?,
    };
    let said = run(&workspace, command).await;
    // Saved here already; offline it goes out the next time.
    sync(&workspace).await;
    workspace.close().await;
    said
}

/// Until all is the same here and there, or the server is not to be reached: then it goes on the next time.
async fn sync(workspace: &Workspace) {
    let _ = workspace.wait_until(PATIENCE, |status| status.synced || status.trouble.is_some()).await;
}

async fn run(workspace: &Workspace, command: &[&str]) -> Result<String, Problem> {
    let outline = workspace.document("outline")?;
    match command {
        ["create", _] | ["join", _] => Ok(workspace.id().to_string()),
        ["share"] => Ok(workspace.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await?.link.to_string()),
        ["add", parent, text] => {
            let parent = node(parent)?;
            let added = outline.edit(|loro| {
                let added = tree(loro).create(parent)?;
                text_of(&tree(loro), added)?.insert(0, text)?;
                Ok(added)
            })?;
            Ok(added.to_string())
        }
        ["type", at, text] => {
            let at = node(at)?.ok_or("the root has no text")?;
            // Only what differs is written, so that two devices may type into one node.
            outline.edit(|loro| {
                let held = text_of(&tree(loro), at)?;
                held.update(text, UpdateOptions::default()).map_err(|_| LoroError::ArgErr("too long a text".into()))
            })?;
            Ok(String::new())
        }
        ["move", at, parent] => {
            let (at, parent) = (node(at)?.ok_or("the root does not move")?, node(parent)?);
            outline.edit(|loro| tree(loro).mov(at, parent))?;
            Ok(String::new())
        }
        ["delete", at] => {
            let at = node(at)?.ok_or("the root stays")?;
            outline.edit(|loro| tree(loro).delete(at))?;
            Ok(String::new())
        }
        ["undo"] => Ok(answer(outline.undo()?, "undone", "there is nothing of yours to undo")),
        ["redo"] => Ok(answer(outline.redo()?, "made again", "there is nothing to make again")),
        ["history"] => history(workspace, &outline),
        ["show"] => {
            sync(workspace).await;
            Ok(outline.read(shown)?)
        }
        ["show", version] => Ok(outline.read_at(&version.parse()?, shown)?),
        ["restore", version] => {
            outline.restore(&version.parse()?)?;
            Ok(outline.read(shown)?)
        }
        other => Err(format!("the outliner knows no {}", other.join(" ")).into()),
    }
}

fn tree(loro: &LoroDoc) -> LoroTree {
    let tree = loro.get_tree("tree");
    tree.enable_fractional_index(0); // siblings keep an order that two devices can add to
    tree
}

/// None is the root.
fn node(text: &str) -> Result<Option<TreeID>, Problem> {
    if text == "root" {
        return Ok(None);
    }
    Ok(Some(text.try_into().map_err(|_| format!("{text} is no node: show lists them"))?))
}

fn text_of(tree: &LoroTree, node: TreeID) -> LoroResult<LoroText> {
    tree.get_meta(node)?.ensure_mergeable_text("text")
}

/// The outline, a line a node, by depth.
fn shown(loro: &LoroDoc) -> String {
    let tree = loro.get_tree("tree");
    let mut lines = Vec::new();
    let mut open: Vec<(usize, TreeID)> = tree.roots().into_iter().rev().map(|node| (0, node)).collect();
    while let Some((depth, node)) = open.pop() {
        let text = tree.get_meta(node).ok().and_then(|meta| meta.get("text"));
        let text = text.and_then(|text| text.get_deep_value().into_string().ok()).unwrap_or_default();
        lines.push(format!("{}- {}  [{node}]", "  ".repeat(depth), &**text));
        open.extend(tree.children(node).unwrap_or_default().into_iter().rev().map(|child| (depth + 1, child)));
    }
    lines.join("\n")
}

fn history(workspace: &Workspace, outline: &Document) -> Result<String, Problem> {
    let devices = workspace.devices();
    let line = |revision: roost::Revision| {
        let device = devices.iter().find(|device| Some(device.id) == revision.device);
        let name = device.and_then(|device| device.name.clone()).unwrap_or_else(|| "a device".to_owned());
        format!("{}  {} seconds since 1970, {name}", revision.version, revision.at_s)
    };
    Ok(outline.history()?.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn answer(is_done: bool, done: &str, not: &str) -> String {
    if is_done { done.to_owned() } else { not.to_owned() }
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
