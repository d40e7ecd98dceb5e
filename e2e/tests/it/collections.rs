//! Two devices and one collection: what each wrote while the other could not see it.

use std::path::Path;
use std::time::Duration;

use roost::json::{Value, json};
use roost::{Collection, Fields, Merge, Record, RecordId, Roost, Scope, Sharing, Workspace};
use roost_e2e::live::process::Server;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Food {
    pub name: String,
    pub kcal: i64,
    pub note: String,
    pub tags: Vec<String>,
    pub eaten: i64,
    pub made_at: Option<String>,
    pub best: Option<i64>,
    pub worst: Option<i64>,
    pub tastes: Vec<String>,
    pub longest: String,
}

impl Record for Food {
    const NAME: &str = "foods";

    fn fields(fields: Fields) -> Fields {
        let longest = |values: &[Value]| {
            let texts = values.iter().filter_map(Value::as_str);
            json!(texts.max_by_key(|text| (text.len(), *text)).unwrap_or_default())
        };
        fields
            .index("kcal")
            .merge("note", Merge::Text)
            .merge("tags", Merge::Set)
            .merge("eaten", Merge::Counter)
            .merge("made_at", Merge::FirstWriter)
            .merge("best", Merge::Max)
            .merge("worst", Merge::Min)
            .merge("tastes", Merge::KeepAll)
            .merge("longest", Merge::resolve(longest))
    }
}

pub struct Pair {
    pub laptop: Workspace,
    pub phone: Workspace,
}

impl Pair {
    pub async fn new(dir: &Path, server: &Server) -> Self {
        let open = |name: &'static str| Roost::builder(dir.join(name)).open();
        let laptop = open("laptop").await.unwrap().create_workspace(&server.address(), "laptop").await.unwrap();
        let link = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await.unwrap().link;
        let phone = open("phone").await.unwrap().join(&link, "phone").await.unwrap();
        phone.wait_synced(PATIENCE).await.unwrap();
        laptop.wait_synced(PATIENCE).await.unwrap();
        Self { laptop, phone }
    }

    /// Neither sees what the other does from now on.
    pub async fn part(&self) {
        self.laptop.pause().await.unwrap();
        self.phone.pause().await.unwrap();
        for device in [&self.laptop, &self.phone] {
            device.wait_until(PATIENCE, |status| !status.online).await.unwrap();
        }
    }

    /// Everything is everywhere.
    pub async fn meet(&self) {
        self.laptop.resume().await.unwrap();
        self.phone.resume().await.unwrap();
        for device in [&self.laptop, &self.phone, &self.laptop] {
            device.wait_until(PATIENCE, |status| status.synced).await.unwrap();
        }
        let others = |status: &roost::Status| status.synced && status.seen_by == status.others;
        for device in [&self.laptop, &self.phone] {
            device.wait_until(PATIENCE, others).await.unwrap();
        }
    }
}

pub async fn foods() -> (tempfile::TempDir, Server, Pair, [Collection<Food>; 2], RecordId) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let pair = Pair::new(dir.path(), &server).await;
    let both = [&pair.laptop, &pair.phone].map(|device| device.collection::<Food>().unwrap());
    let apple = Food { name: "apple".to_owned(), kcal: 52, note: "green".to_owned(), ..Food::default() };
    let id = both[0].insert(&apple).unwrap();
    pair.meet().await;
    assert_eq!(both[1].get(&id).unwrap().unwrap().name, "apple");
    (dir, server, pair, both, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_two_writers_come_together_as_their_policy_says() {
    let (_dir, _server, pair, [one, other], id) = foods().await;
    pair.part().await;
    one.update(&id, |food| {
        food.name = "red apple".to_owned();
        food.note.push_str(", sour");
        food.tags = vec!["fruit".to_owned(), "tree".to_owned()];
        food.eaten += 2;
        (food.best, food.worst) = (Some(7), Some(3));
        food.made_at = Some("monday".to_owned());
        food.tastes = vec!["sour".to_owned()];
        food.longest = "a short one".to_owned();
    })
    .unwrap();
    other
        .update(&id, |food| {
            food.kcal = 53;
            food.note.insert_str(0, "very ");
            food.tags = vec!["fruit".to_owned(), "snack".to_owned()];
            food.eaten += 3;
            (food.best, food.worst) = (Some(9), Some(4));
            food.made_at = Some("tuesday".to_owned());
            food.tastes = vec!["sweet".to_owned()];
            food.longest = "a much longer one".to_owned();
        })
        .unwrap();
    pair.meet().await;
    let food = one.get(&id).unwrap().unwrap();
    assert_eq!(other.get(&id).unwrap().unwrap(), food);
    assert_eq!((food.name.as_str(), food.kcal), ("red apple", 53), "two fields, two writers");
    assert_eq!(food.note, "very green, sour");
    assert_eq!(food.tags, ["fruit", "snack", "tree"]);
    assert_eq!((food.eaten, food.best, food.worst), (5, Some(9), Some(3)));
    assert_eq!(food.longest, "a much longer one");
    let mut tastes = food.tastes.clone();
    tastes.sort();
    assert_eq!(tastes, ["sour", "sweet"]);
    let made_at = food.made_at.clone();
    assert!(matches!(made_at.as_deref(), Some("monday" | "tuesday")), "{made_at:?}");
    assert!(one.conflicts().unwrap().is_empty() && other.conflicts().unwrap().is_empty(), "nothing was hidden");

    // Who has seen both values settles them; and a first writer is not written over.
    other
        .update(&id, |food| (food.tastes, food.made_at) = (vec!["fine".to_owned()], Some("friday".to_owned())))
        .unwrap();
    one.update(&id, |food| food.best = Some(1)).unwrap();
    pair.meet().await;
    let food = one.get(&id).unwrap().unwrap();
    assert_eq!((food.tastes, food.made_at, food.best), (vec!["fine".to_owned()], made_at, Some(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_hidden_is_reported_to_both_with_both_devices() {
    let (_dir, _server, pair, [one, other], id) = foods().await;
    pair.part().await;
    one.set(&id, "name", "pear").unwrap();
    other.set(&id, "name", "plum").unwrap();
    pair.meet().await;
    let [seen, same] = [&one, &other].map(|foods| foods.conflicts().unwrap());
    assert_eq!((seen.len(), &seen), (1, &same));
    let kept = one.get(&id).unwrap().unwrap().name;
    let conflict = &seen[0];
    assert_eq!((&conflict.record, conflict.field.as_str(), &conflict.kept), (&id, "name", &json!(kept)));
    let hidden = if kept == "pear" { "plum" } else { "pear" };
    assert_eq!(conflict.hidden, json!(hidden));
    let by = |name: &str| Some(if name == "pear" { pair.laptop.device() } else { pair.phone.device() });
    assert_eq!((conflict.kept_by, conflict.hidden_by), (by(&kept), by(hidden)));
    assert_eq!(pair.laptop.status().conflicts, 1);

    one.take_hidden(conflict).unwrap();
    pair.phone.forget_conflict(&same[0]).unwrap();
    pair.meet().await;
    assert_eq!(other.get(&id).unwrap().unwrap().name, hidden);
    assert!(one.conflicts().unwrap().is_empty() && other.conflicts().unwrap().is_empty());
    // One after the other is no conflict.
    one.set(&id, "name", "fig").unwrap();
    pair.meet().await;
    other.set(&id, "name", "date").unwrap();
    pair.meet().await;
    assert!(one.conflicts().unwrap().is_empty() && other.conflicts().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_into_a_deleted_record_is_reported_and_can_be_brought_back() {
    let (_dir, _server, pair, [one, other], id) = foods().await;
    pair.part().await;
    one.delete(&id).unwrap();
    other.set(&id, "name", "a better apple").unwrap();
    pair.meet().await;
    for foods in [&one, &other] {
        assert_eq!(foods.get(&id).unwrap(), None, "it stays deleted");
        let conflicts = foods.conflicts().unwrap();
        assert_eq!(
            (conflicts.len(), &conflicts[0].kept, &conflicts[0].hidden),
            (1, &Value::Null, &json!("a better apple"))
        );
    }
    other.take_hidden(&other.conflicts().unwrap()[0]).unwrap();
    pair.meet().await;
    let back = one.get(&id).unwrap().unwrap();
    assert_eq!((back.name.as_str(), back.kcal), ("a better apple", 52));

    // What merges as long as there is a record is hidden with it, too.
    pair.part().await;
    other.delete(&id).unwrap();
    one.update(&id, |food| food.note.push_str(", crisp")).unwrap();
    one.update(&id, |food| food.tags.push("fruit".to_owned())).unwrap();
    pair.meet().await;
    for foods in [&one, &other] {
        assert_eq!(foods.get(&id).unwrap(), None);
        let mut fields: Vec<String> = foods.conflicts().unwrap().into_iter().map(|conflict| conflict.field).collect();
        fields.sort();
        assert!(fields.ends_with(&["note".to_owned(), "tags".to_owned()]), "{fields:?}");
    }
    let of_note = one.conflicts().unwrap().into_iter().find(|conflict| conflict.field == "note").unwrap();
    assert_eq!((&of_note.kept, &of_note.hidden), (&Value::Null, &Value::Null));
    one.take_hidden(&of_note).unwrap();
    pair.meet().await;
    let back = other.get(&id).unwrap().unwrap();
    assert_eq!((back.note.as_str(), back.tags), ("green, crisp", vec!["fruit".to_owned()]));

    // A record that was made anew under its id is another one.
    pair.part().await;
    other.delete(&id).unwrap();
    one.update(&id, |food| food.note.push_str(", sweet")).unwrap();
    pair.meet().await;
    other.insert_as(&id, &Food { name: "another apple".to_owned(), ..Food::default() }).unwrap();
    pair.meet().await;
    let of_note = one.conflicts().unwrap().into_iter().rfind(|conflict| conflict.field == "note").unwrap();
    assert_eq!(one.take_hidden(&of_note).unwrap_err().code(), "record_made_anew");
    assert_eq!(one.get(&id).unwrap().unwrap().note, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_query_follows_the_other_device() {
    let (_dir, _server, pair, [one, other], id) = foods().await;
    let mut light = one.query().filter(roost::field("kcal").lt(100)).order_by("kcal").watch().unwrap();
    assert_eq!(light.ids().collect::<Vec<_>>(), std::slice::from_ref(&id));
    let melon = other.insert(&Food { name: "melon".to_owned(), kcal: 34, ..Food::default() }).unwrap();
    let next = tokio::time::timeout(PATIENCE, light.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.added.iter().map(|row| row.record.name.as_str()).collect::<Vec<_>>(), ["melon"]);
    assert_eq!(light.ids().collect::<Vec<_>>(), [melon.clone(), id.clone()]);
    // Two devices that make one record offline come to one.
    pair.part().await;
    let today = RecordId::new("2026-11-21").unwrap();
    for (foods, name) in [(&one, "tea"), (&other, "tea")] {
        foods.insert_as(&today, &Food { name: name.to_owned(), eaten: 1, ..Food::default() }).unwrap();
    }
    pair.meet().await;
    assert_eq!((one.get(&today).unwrap().unwrap().eaten, one.count().unwrap()), (2, 3));
    assert_eq!(other.get(&today).unwrap(), one.get(&today).unwrap());
}
