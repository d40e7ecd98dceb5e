//! What the devices look at: shown at once, stored nowhere, gone with the socket.

use std::path::Path;
use std::time::{Duration, Instant};

use roost::json::json;
use roost::{DeviceId, Presence, Roost, Scope, Sharing, Workspace};
use roost_e2e::live::log::hits;
use roost_e2e::live::process::{Device, Server};
use roost_e2e::live::speaker::{Speaker, next};
use roost_shared::limits::{PRESENCE_GONE_MS, PRESENCE_PAUSE_MS};
use roost_shared::wire::message::{ClientMessage, ServerMessage};
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(60);
const CANARY: &str = "canary-of-the-cake-recipe";

fn line(number: u64) -> Presence {
    Presence { document: None, state: json!({ "line": number, "of": CANARY }) }
}

/// The laptop has a process of its own, as far as its sockets go.
async fn two(dir: &Path, server: &Server) -> (Runtime, Workspace, Workspace) {
    let (process, address, laptop) = (Runtime::new().unwrap(), server.address(), dir.join("laptop"));
    let laptop = process.spawn(async move {
        let roost = Roost::builder(&laptop).open().await.unwrap();
        roost.create_workspace(&address, "laptop").await.unwrap()
    });
    let laptop = laptop.await.unwrap();
    let link = laptop.share(&Sharing::new(Scope::ReadWrite), PATIENCE).await.unwrap().link;
    let phone = Roost::builder(dir.join("phone")).open().await.unwrap().join(&link, "phone").await.unwrap();
    for device in [&laptop, &phone] {
        device.wait_until(PATIENCE, |status| status.synced && status.others == 1).await.unwrap();
    }
    (process, laptop, phone)
}

fn looks_at(workspace: &Workspace, device: DeviceId) -> Option<Presence> {
    workspace.devices().into_iter().find(|found| found.id == device).unwrap().looks_at
}

/// Waits until `workspace` sees that `device` looks at this.
async fn sees(workspace: &Workspace, device: DeviceId, wanted: Option<Presence>) {
    let mut looks = workspace.watch_looks();
    let waiting = async {
        while looks_at(workspace, device) != wanted {
            looks.changed().await.unwrap();
        }
    };
    // What nobody says any more is over after a while: here, someone says so before.
    let patience = if wanted.is_none() { Duration::from_millis(PRESENCE_GONE_MS - 2_000) } else { PATIENCE };
    tokio::time::timeout(patience, waiting).await.expect("it is seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_looks_at_is_shown_and_gone_with_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (process, laptop, phone) = two(dir.path(), &server).await;
    let one = laptop.device();
    let cakes = laptop.document("cakes").unwrap().id();
    laptop.show(Some(Presence { document: Some(cakes), ..line(1) })).unwrap();
    sees(&phone, one, Some(Presence { document: Some(cakes), ..line(1) })).await;
    assert_eq!(looks_at(&laptop, one), None, "of itself a device needs no news");
    // As fast as a person scrolls: the latest arrives.
    (2..200).for_each(|number| laptop.show(Some(line(number))).unwrap());
    sees(&phone, one, Some(line(199))).await;
    laptop.show(None).unwrap();
    sees(&phone, one, None).await;

    // Who comes later sees what is shown; who leaves is gone.
    phone.pause().await.unwrap();
    laptop.show(Some(line(3))).unwrap();
    phone.resume().await.unwrap();
    sees(&phone, one, Some(line(3))).await;
    phone.show(Some(line(4))).unwrap();
    sees(&laptop, phone.device(), Some(line(4))).await;
    laptop.pause().await.unwrap();
    sees(&phone, one, None).await;
    laptop.resume().await.unwrap();
    sees(&phone, one, Some(line(3))).await;

    let wanted = [CANARY.as_bytes().to_vec(), b"RSTP".to_vec()];
    assert_eq!(hits(&data_dir, &wanted), 0, "neither in clear nor sealed is it kept");
    // Its process dies without a word.
    let died = Instant::now();
    process.shutdown_background();
    sees(&phone, one, None).await;
    println!("figure: what a device looks at was gone {:?} after its process died", died.elapsed());
    drop(laptop);
    phone.close().await;
    assert!(server.terminate());
    assert_eq!(hits(&data_dir, &wanted), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_shows_too_fast_is_passed_on_at_a_pace_the_latest_at_last() {
    const SAID: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("server"), &[]);
    let (one, other) = crate::kills::two_devices(dir.path(), &server.address());
    other.ok(&["sync"]);
    let speaker = |device: &Device| Speaker::of(device.dir()).unwrap();
    let (one, other) = (speaker(&one), speaker(&other));
    let (ours, theirs) = (one.token(&server.address()).await.unwrap(), other.token(&server.address()).await.unwrap());
    let mut speaking = one.connect(&server.address(), &ours).await.unwrap();
    let mut hearing = other.connect(&server.address(), &theirs).await.unwrap();
    let began = Instant::now();
    let speak_and_hear = async {
        for number in 0..SAID {
            let said = ClientMessage::Ephemeral { presence: vec![u8::try_from(number).unwrap(); 4] }.encode();
            while !speaking.send(said.clone()) {
                tokio::task::yield_now().await; // its queue is full
            }
        }
        let mut heard = Vec::new();
        while heard.last() != Some(&(SAID - 1)) {
            if let ServerMessage::Ephemeral { device, presence } = next(&mut *hearing).await.unwrap() {
                assert_eq!(device, one.keys.device_id());
                heard.push(usize::from(presence[0]));
            }
        }
        heard
    };
    let heard = tokio::time::timeout(PATIENCE, speak_and_hear).await.expect("the latest is passed on");
    println!("figure: of {SAID} presences said at once {} were passed on", heard.len());
    let at_most = 2 + began.elapsed().as_millis() / u128::from(PRESENCE_PAUSE_MS);
    assert!(heard.is_sorted() && heard.len() as u128 <= at_most, "{heard:?}");
}
