//! What the devices look at: shown at once, stored nowhere, gone with the socket.

use std::path::Path;
use std::time::{Duration, Instant};

use roost::json::json;
use roost::{DeviceId, Notice, Presence, Roost, Scope, Sharing, Workspace};
use roost_e2e::live::log::hits;
use roost_e2e::live::process::Server;
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;

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

/// Waits until `workspace` sees that `device` looks at this; each change is an event.
async fn sees(events: &mut Receiver<Notice>, workspace: &Workspace, device: DeviceId, wanted: Option<Presence>) {
    let waiting = async {
        while looks_at(workspace, device) != wanted {
            while events.recv().await.unwrap() != (Notice::Presence { device }) {}
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_looks_at_is_shown_and_gone_with_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("server");
    let server = Server::start(&data_dir, &[]);
    let (process, laptop, phone) = two(dir.path(), &server).await;
    let (mut events, one) = (phone.events(), laptop.device());
    let cakes = laptop.document("cakes").unwrap().id();
    laptop.show(Some(Presence { document: Some(cakes), ..line(1) })).unwrap();
    sees(&mut events, &phone, one, Some(Presence { document: Some(cakes), ..line(1) })).await;
    assert_eq!(looks_at(&laptop, one), None, "of itself a device needs no news");
    // As fast as a person scrolls: the latest arrives.
    (2..200).for_each(|number| laptop.show(Some(line(number))).unwrap());
    sees(&mut events, &phone, one, Some(line(199))).await;
    laptop.show(None).unwrap();
    sees(&mut events, &phone, one, None).await;

    // Who comes later sees what is shown, without waiting for it to be said again; who leaves is gone.
    laptop.show(Some(line(3))).unwrap();
    sees(&mut events, &phone, one, Some(line(3))).await;
    phone.show(Some(line(4))).unwrap();
    let mut heard = laptop.events();
    sees(&mut heard, &laptop, phone.device(), Some(line(4))).await;
    laptop.pause().await.unwrap();
    sees(&mut events, &phone, one, None).await;
    laptop.resume().await.unwrap();
    sees(&mut events, &phone, one, Some(line(3))).await;

    let wanted = [CANARY.as_bytes().to_vec(), b"RSTP".to_vec()];
    assert_eq!(hits(&data_dir, &wanted), 0, "neither in clear nor sealed is it kept");
    // Its process dies without a word.
    let died = Instant::now();
    process.shutdown_background();
    sees(&mut events, &phone, one, None).await;
    println!("figure: what a device looks at was gone {:?} after its process died", died.elapsed());
    drop(laptop);
    phone.close().await;
    assert!(server.terminate());
    assert_eq!(hits(&data_dir, &wanted), 0);
}
