//! Collections of one workspace on one device, in a real file. How two devices meet in one: `e2e/tests/it/collections.rs`.

mod live;
mod query;
mod write;

use roost::schema::Schema;
use roost::{Collection, Fields, Merge, Record, RecordId, Roost, Workspace};
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Todo {
    pub title: String,
    pub done: bool,
    pub due: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub votes: i64,
    #[serde(default)]
    pub project: Option<String>,
}

impl Record for Todo {
    const NAME: &str = "todos";

    fn fields(fields: Fields) -> Fields {
        fields.index("due").merge("title", Merge::Text).merge("tags", Merge::Set).merge("votes", Merge::Counter)
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Project {
    pub name: String,
}

impl Record for Project {
    const NAME: &str = "projects";
}

pub fn todo(title: &str, due: Option<&str>) -> Todo {
    let due = due.map(str::to_owned);
    Todo { title: title.to_owned(), done: false, due, tags: Vec::new(), votes: 0, project: None }
}

pub fn id(text: &str) -> RecordId {
    RecordId::new(text).unwrap()
}

pub async fn workspace() -> (TempDir, Workspace) {
    let dir = tempfile::tempdir().unwrap();
    let roost = Roost::builder(dir.path()).paused(true).open().await.unwrap();
    let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await.unwrap();
    (dir, workspace)
}

pub async fn reopened(dir: &TempDir, schema: Schema) -> Workspace {
    let roost = Roost::builder(dir.path()).schema(schema).paused(true).open().await.unwrap();
    roost.only_workspace().await.unwrap()
}

pub async fn todos() -> (TempDir, Workspace, Collection<Todo>) {
    let (dir, workspace) = workspace().await;
    let todos = workspace.collection::<Todo>().unwrap();
    (dir, workspace, todos)
}
