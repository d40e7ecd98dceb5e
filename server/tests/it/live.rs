//! A real listener in this process, and requests to it.

use std::sync::Arc;

use reqwest::{Client, RequestBuilder, Response};
use roost_server::access::InFlight;
use roost_server::clock::now_ms;
use roost_server::config::{Admission, Config};
use roost_server::store::SharedStore;
use roost_server::store::conformance::QUOTA_BYTES;
use roost_server::store::conformance::world::{device_id, workspace_of};
use roost_server::store::memory::MemoryStore;
use roost_shared::Code;
use roost_shared::wire::http::{Problem, TokenScope};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{SECRET, access_of};

/// What the settings let one address have unfinished at once, and all.
pub const EACH: usize = 16 << 20;
pub const ALL: usize = 64 << 20;

/// A server on a port of its own, over a memory store unless it is given another.
pub struct Server {
    pub store: SharedStore,
    /// The gauge of what is unfinished.
    pub in_flight: InFlight,
    pub address: std::net::SocketAddr,
    client: Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start(admission: Admission) -> Self {
        Self::over(Arc::new(MemoryStore::new(QUOTA_BYTES)), admission).await
    }

    pub async fn over(store: SharedStore, admission: Admission) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let in_flight = InFlight::new(ALL, EACH);
        let access = access_of(&format!("http://{address}"), &SECRET);
        let config = Config { access, admission, in_flight: in_flight.clone() };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(roost_server::serve(listener, config, Arc::clone(&store), stop.clone()));
        // Not through a proxy, whatever the environment says.
        let client = Client::builder().no_proxy().build().unwrap();
        Self { store, in_flight, address, client, stop, serving }
    }

    pub async fn open() -> Self {
        Self::start(Admission::Open).await
    }

    pub fn audience(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address))
    }

    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(format!("http://{}{path}", self.address))
    }

    /// A token this server takes, for any device of any workspace.
    pub fn token(&self, owner: u8, device: u8, scope: TokenScope) -> String {
        let access = access_of(&self.audience(), &SECRET);
        access.issue(workspace_of(owner), device_id(device), scope, now_ms(), [1; 16]).unwrap().token
    }

    /// Stops it; it ends once all connections have.
    pub async fn stop(self) {
        drop(self.client);
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// The answer is this refusal, in the form every refusal has.
pub async fn problem(response: Response, status: u16, code: Code) -> Problem {
    assert_eq!(response.status().as_u16(), status, "{code}");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(header("retry-after").is_some(), code.is_retryable());
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((problem.code, problem.status), (code, status));
    assert_eq!(problem.kind, format!("about:blank#{code}"));
    assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "words for people");
    assert_eq!(problem.request_id.len(), 16, "to find it in the server's log");
    assert_eq!(problem.retry_after_ms.is_some(), code.is_retryable());
    problem
}
