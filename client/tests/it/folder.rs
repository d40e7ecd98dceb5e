//! How many workspaces a folder holds.

use roost::{Error, Roost};

const SERVER: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn an_app_says_whether_a_folder_holds_one_workspace_or_many() {
    let dir = tempfile::tempdir().unwrap();
    let many = Roost::builder(dir.path()).paused(true).open().await.unwrap();
    assert!(matches!(many.only_workspace().await.err(), Some(Error::NoWorkspace(_))));
    let first = many.create_workspace(SERVER, "laptop").await.unwrap();
    let id = first.id();
    let one = Roost::builder(dir.path()).paused(true).one_workspace(true).open().await.unwrap();
    let refused = one.create_workspace(SERVER, "laptop").await.err();
    assert!(matches!(refused, Some(Error::FolderInUse { held, .. }) if held == id), "open as it is, it is there");
    first.close().await;
    let refused = one.create_workspace(SERVER, "laptop").await.err();
    assert!(matches!(refused, Some(Error::FolderInUse { held, .. }) if held == id));
    assert_eq!(one.workspaces().unwrap(), [id], "what was refused left nothing");
    let only = one.only_workspace().await.unwrap();
    assert_eq!(only.id(), id);
    only.close().await;

    many.create_workspace(SERVER, "laptop").await.unwrap().close().await;
    assert!(matches!(many.only_workspace().await.err(), Some(Error::SeveralWorkspaces(_))), "no guess is made");
    assert_eq!(many.workspace(id).await.unwrap().id(), id);
}
