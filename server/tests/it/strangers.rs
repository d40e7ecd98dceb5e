//! Attacks by who is in no roster: what they make the store do is counted, and what they take from whom.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use reqwest::{Client, RequestBuilder};
use roost_server::config::Admission;
use roost_server::store::SharedStore;
use roost_server::store::conformance::world::{
    INVITE, LAPTOP, LOG, OWNER, PHONE, STRANGER, World, device_id, genesis, invite, next, owner, people, people_and,
    replace, workspace_of,
};
use roost_shared::roster::{Record, RecordBody, Roster};
use roost_shared::wire::http::{AskSession, Base64, Chain, CreateWorkspace, PostRecord, Recover, Redeem, TokenScope};
use roost_shared::{Code, DeviceId, Hash, LogId};

use crate::counted::CountedStore;
use crate::live::{Server, problem};
use crate::raw::Wire;

fn create(log: LogId, record: &Record) -> CreateWorkspace {
    CreateWorkspace { log, chain: vec![base64(record.as_bytes())] }
}

fn base64(bytes: &[u8]) -> Base64 {
    Base64(bytes.to_vec())
}

fn path(rest: &str) -> String {
    format!("/v1/workspaces/{}{rest}", workspace_of(OWNER))
}

fn redeem(device: DeviceId) -> Redeem {
    let (link_proof, access_proof) = (base64(b"a link"), base64(b"a passcode"));
    Redeem { workspace: workspace_of(OWNER), link_proof, access_proof, device }
}

#[tokio::test]
async fn what_strangers_ask_costs_no_chain_and_no_write() {
    let store = Arc::new(CountedStore::new());
    let server = Server::over(Arc::clone(&store) as SharedStore, Admission::Open).await;
    let mut world = World::create_with(&*server.store, people_and(invite(INVITE))).await;
    world.posts(owner(OWNER, 2, people_and(invite(INVITE))), OWNER).await;
    store.calls();

    let proof = Recover { proof: base64(b"twelve words") };
    let recovered = server.post(&path("/recovery")).json(&proof).send().await.unwrap();
    problem(recovered, 401, Code::ProofInvalid).await;
    let redeemed = server.post("/v1/links/redeem").json(&redeem(device_id(LAPTOP))).send().await.unwrap();
    problem(redeemed, 403, Code::LinkUnavailable).await;
    assert_eq!(store.calls().into_iter().collect::<Vec<_>>(), [("redeem", 1), ("roster_head", 1)]);
    let nobody = server.post("/v1/links/redeem").json(&redeem(DeviceId::ZERO)).send().await.unwrap();
    problem(nobody, 400, Code::BadMessage).await;
    let (workspace, device) = (workspace_of(OWNER), device_id(PHONE));
    let ask = AskSession { workspace, device, nonce: None, signature: None, owner_signature: None };
    problem(server.post("/v1/session").json(&ask).send().await.unwrap(), 401, Code::NonceInvalid).await;
    assert!(store.calls().is_empty(), "these are refused before the store is asked");

    let forged = [
        (next(&world.roster, owner(OWNER, 3, people()), STRANGER), 403, Code::SignatureInvalid),
        (next(&world.roster, RecordBody::Purge, PHONE), 403, Code::SignatureInvalid),
        (next(&world.roster, replace(INVITE, LAPTOP), LAPTOP), 403, Code::SignatureInvalid),
        (next(&world.roster, replace(PHONE, LAPTOP), PHONE), 400, Code::RosterInvalid),
        (genesis(OWNER, people()), 409, Code::RosterMoved),
        (next(&world.roster, owner(STRANGER, 3, people()), STRANGER), 403, Code::WrongWorkspace),
    ];
    for (record, status, code) in &forged {
        let body = PostRecord { record: base64(record.as_bytes()) };
        problem(server.post(&path("/roster")).json(&body).send().await.unwrap(), *status, *code).await;
    }
    assert_eq!(store.calls().into_iter().collect::<Vec<_>>(), [("device", 2), ("roster_head", forged.len())]);

    // A chain that nobody signed is judged before the one that writes is asked, but for a workspace that is there.
    let unsigned = next(&Roster::empty(workspace_of(STRANGER)), owner(STRANGER, 1, people()), PHONE);
    let created = server.post("/v1/workspaces").json(&create(LOG, &unsigned)).send().await.unwrap();
    problem(created, 403, Code::SignatureInvalid).await;
    assert_eq!(store.calls().into_iter().collect::<Vec<_>>(), [("roster_head", 1)]);
    let unsigned = next(&Roster::empty(workspace), owner(OWNER, 1, people()), PHONE);
    for (log, record) in [(LOG, &unsigned), (LogId([9; 16]), &genesis(OWNER, people_and(invite(INVITE))))] {
        let created = server.post("/v1/workspaces").json(&create(log, record)).send().await.unwrap();
        assert_eq!(problem(created, 409, Code::WorkspaceExists).await.log, Some(LOG));
    }
    world.stands().await;
    println!("figure: {} requests of strangers read no chain and wrote nothing", 5 + forged.len());
}

#[tokio::test]
async fn the_right_records_pass() {
    let server = Server::open().await;
    let world = World::create_with(&*server.store, people_and(invite(INVITE))).await;
    let mut roster = world.roster.clone();
    let joined = next(&roster, replace(INVITE, LAPTOP), INVITE);
    roster.apply(&joined).unwrap();
    let purged = next(&roster, RecordBody::Purge, OWNER);
    roster.apply(&purged).unwrap();
    let late = next(&roster, owner(OWNER, 2, people()), OWNER);
    for record in [&joined, &purged] {
        let body = PostRecord { record: base64(record.as_bytes()) };
        assert_eq!(server.post(&path("/roster")).json(&body).send().await.unwrap().status().as_u16(), 200);
    }
    let body = PostRecord { record: base64(late.as_bytes()) };
    problem(server.post(&path("/roster")).json(&body).send().await.unwrap(), 410, Code::WorkspaceGone).await;
}

/// A client that has this address of its own.
fn client_at(last: u8) -> Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Client::builder().no_proxy().local_address(address).build().unwrap()
}

/// Sends until it is answered 429; how often it was not.
async fn until_too_many(request: impl Fn() -> RequestBuilder) -> usize {
    for sent in 0..100_000 {
        let answer = request().send().await.unwrap();
        if answer.status().as_u16() == 429 {
            problem(answer, 429, Code::TooMany).await;
            return sent;
        }
    }
    panic!("it was never too many");
}

#[tokio::test]
async fn a_strangers_tries_are_not_the_owners() {
    const TRIES: usize = 10;
    let server = Server::open().await;
    let mut body = owner(OWNER, 1, people());
    if let RecordBody::Owner(owner) = &mut body {
        owner.recovery_verifier = Hash::of(&[b"twelve words"]).0;
    }
    let workspace = workspace_of(OWNER);
    let record = next(&Roster::empty(workspace), body, OWNER);
    server.store.create(workspace, LOG, vec![record.clone()]).await.unwrap();

    let stranger = client_at(2);
    let address = format!("http://{}{}", server.address, path("/recovery"));
    let guess = Recover { proof: base64(b"a guess") };
    let mut guessed = until_too_many(|| stranger.post(&address).json(&guess)).await;
    assert!(guessed >= TRIES);
    for attempt in 1..=TRIES {
        guessed += usize::from(stranger.post(&address).json(&guess).send().await.unwrap().status().as_u16() == 401);
        let proof = if attempt == TRIES { base64(b"twelve words") } else { base64(b"mistyped words") };
        let answer = server.post(&path("/recovery")).json(&Recover { proof }).send().await.unwrap();
        if attempt < TRIES {
            problem(answer, 401, Code::ProofInvalid).await;
        } else {
            let chain: Chain = answer.json().await.unwrap();
            assert_eq!(chain.chain, [base64(record.as_bytes())]);
        }
    }
    println!(
        "figure: beside a stranger who guessed {guessed} times and was stopped, the owner had {TRIES} tries of {TRIES}"
    );
}

#[tokio::test]
async fn strangers_leave_the_sessions_of_their_address_alone() {
    let server = Server::open().await;
    World::create(&*server.store).await;
    let token = server.token(OWNER, PHONE, TokenScope::ReadWrite);
    let ask = AskSession {
        workspace: workspace_of(OWNER),
        device: device_id(PHONE),
        nonce: None,
        signature: None,
        owner_signature: None,
    };
    // A request that is refused for its type costs its sender the same.
    let strange = until_too_many(|| server.post("/v1/links/redeem")).await;
    assert!(strange >= 1_000);
    problem(server.post("/v1/session").json(&ask).send().await.unwrap(), 401, Code::NonceInvalid).await;
    assert!(Wire::open(&server, None).await.status.contains(" 101 "), "a socket");
    // Even one who asks for sessions and for nothing else takes them from no one who shows a token.
    let asked = until_too_many(|| server.post("/v1/session")).await;
    let mut served = 0;
    for _ in 0..100 {
        let read = server.get(&path("/entries")).bearer_auth(&token).send().await.unwrap();
        served += usize::from(read.status().as_u16() == 200);
    }
    assert_eq!(served, 100);
    let session = server.post("/v1/session").bearer_auth(&token).json(&ask).send().await.unwrap();
    problem(session, 401, Code::NonceInvalid).await;
    assert!(Wire::open(&server, Some(&token)).await.status.contains(" 101 "), "a socket of who shows a token");
    println!(
        "figure: beside {strange} and {asked} requests of a stranger at one address {served} of 100 with a token were served"
    );
}
