//! Requests: tokens, roster records, links, a new log id.

use std::sync::Arc;

use roost_shared::hash::Hash;
use roost_shared::limits::{ERROR_TEXT_MAX, HTTP_CHAIN_MAX};
use roost_shared::proof::Challenge;
use roost_shared::roster::Record;
use roost_shared::wire::http::{
    AskSession, Base64, Chain, CreateWorkspace, IssueToken, IssuedToken, LogIs, PostRecord, Problem, ProposeLog,
    RecordIs, Recover, Redeem, Redeemed, TokenInfo, TokenIs, TokensAre, WorkspaceIs,
};
use roost_shared::{Code, LogId, WorkspaceId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Method, Reply, Request, Socket, Transport, TransportError};
use crate::keys::KeyPair;

type Answer<T> = Result<T, TransportError>;

/// One server, by its address.
#[derive(Clone)]
pub struct Server {
    transport: Arc<dyn Transport>,
    address: String,
    admission_key: Option<String>,
}

impl Server {
    /// The server at this origin.
    pub fn new(transport: Arc<dyn Transport>, address: &str, admission_key: Option<String>) -> Self {
        Self { transport, address: address.to_owned(), admission_key }
    }

    /// The server's origin.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens the live socket of a workspace.
    pub async fn connect(&self, workspace: WorkspaceId, token: &str) -> Answer<Box<dyn Socket>> {
        self.transport.connect(&self.address, workspace, token).await
    }

    fn ask(&self, method: Method, path: &str) -> Asking<'_> {
        let url = format!("{}{path}", self.address);
        let request = Request { method, url, headers: Vec::new(), body: None, answer_max: HTTP_CHAIN_MAX };
        Asking { transport: &*self.transport, request }
    }

    fn get(&self, path: &str) -> Asking<'_> {
        self.ask(Method::Get, path)
    }

    fn post(&self, path: &str) -> Asking<'_> {
        self.ask(Method::Post, path)
    }

    /// A token for an active device: asks for a nonce, signs it, asks again.
    pub async fn session(&self, workspace: WorkspaceId, device: &KeyPair) -> Answer<TokenIs> {
        self.session_as(workspace, device, None).await
    }

    /// A token for an active device; a master token if the owner signs besides.
    pub async fn session_as(
        &self,
        workspace: WorkspaceId,
        device: &KeyPair,
        owner: Option<&KeyPair>,
    ) -> Answer<TokenIs> {
        let mut ask =
            AskSession { workspace, device: device.device_id(), nonce: None, signature: None, owner_signature: None };
        let first = self.post("/v1/session").json(&ask)?.send().await?;
        let nonce = match problem(&first)? {
            Problem { code: Code::NonceInvalid, nonce: Some(nonce), .. } => nonce,
            other => return Err(refused(other)),
        };
        // Signing for another name would let a server in between use the proof elsewhere.
        if nonce.audience != self.address {
            return Err(TransportError::Audience { ours: self.address.clone(), theirs: clipped(&nonce.audience) });
        }
        let challenge =
            Challenge { nonce: &nonce.nonce.0, audience: &self.address, workspace, device: device.device_id() };
        ask.signature = Some(Base64(device.sign(&challenge.session()).to_vec()));
        ask.owner_signature = owner.map(|owner| Base64(owner.sign(&challenge.master()).to_vec()));
        ask.nonce = Some(nonce.nonce);
        self.post("/v1/session").json(&ask)?.answer().await
    }

    /// Creates a workspace.
    pub async fn create(&self, create: &CreateWorkspace) -> Answer<LogId> {
        let mut request = self.post("/v1/workspaces");
        if let Some(key) = &self.admission_key {
            request = request.header("roost-admission-key", key.clone());
        }
        let log: LogIs = request.json(create)?.answer().await?;
        Ok(log.log)
    }

    /// Posts a roster record.
    pub async fn post_record(&self, record: &Record) -> Answer<RecordIs> {
        let request = self.post(&format!("/v1/workspaces/{}/roster", record.workspace));
        let body = PostRecord { record: Base64(record.as_bytes().to_vec()) };
        request.json(&body)?.answer().await
    }

    /// Asks for the workspace's log, bytes and quota.
    pub async fn workspace(&self, workspace: WorkspaceId, token: &str) -> Answer<WorkspaceIs> {
        let request = self.get(&format!("/v1/workspaces/{workspace}")).bearer(token);
        request.answer().await
    }

    /// The roster chain.
    pub async fn chain(&self, workspace: WorkspaceId, token: &str) -> Answer<Vec<Base64>> {
        let request = self.get(&format!("/v1/workspaces/{workspace}/roster")).bearer(token);
        let chain: Chain = request.answer().await?;
        Ok(chain.chain)
    }

    /// The roster chain, for whoever has the recovery phrase.
    pub async fn recover(&self, workspace: WorkspaceId, proof: Base64) -> Answer<Vec<Base64>> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/recovery"));
        let chain: Chain = request.json(&Recover { proof })?.answer().await?;
        Ok(chain.chain)
    }

    /// Uses a link up.
    pub async fn redeem(&self, redeem: &Redeem) -> Answer<Redeemed> {
        self.post("/v1/links/redeem").json(redeem)?.answer().await
    }

    /// A token for a client without device keys; `master` is a master token.
    pub async fn issue_token(&self, workspace: WorkspaceId, master: &str, issue: &IssueToken) -> Answer<IssuedToken> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/tokens")).bearer(master);
        request.json(issue)?.answer().await
    }

    /// Lists the tokens for clients without device keys.
    pub async fn tokens(&self, workspace: WorkspaceId, master: &str) -> Answer<Vec<TokenInfo>> {
        let request = self.get(&format!("/v1/workspaces/{workspace}/tokens")).bearer(master);
        let found: TokensAre = request.answer().await?;
        Ok(found.tokens)
    }

    /// Takes a token back.
    pub async fn withdraw_token(&self, workspace: WorkspaceId, master: &str, id: Hash) -> Answer<()> {
        let path = format!("/v1/workspaces/{workspace}/tokens/{id}");
        let reply = self.ask(Method::Delete, &path).bearer(master).send().await?;
        if is_success(&reply) { Ok(()) } else { Err(refused(problem(&reply)?)) }
    }

    /// Asks for a new log id.
    pub async fn propose_log(&self, workspace: WorkspaceId, token: &str, propose: &ProposeLog) -> Answer<LogId> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/log")).bearer(token);
        let log: LogIs = request.json(propose)?.answer().await?;
        Ok(log.log)
    }
}

/// A request that is being put together.
struct Asking<'a> {
    transport: &'a dyn Transport,
    request: Request,
}

impl Asking<'_> {
    fn header(mut self, name: &'static str, value: String) -> Self {
        self.request.headers.push((name, value));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn json(mut self, body: &impl Serialize) -> Answer<Self> {
        let json = serde_json::to_vec(body).map_err(|error| TransportError::NotRoost(error.to_string()))?;
        self.request.body = Some(json);
        Ok(self)
    }

    async fn send(self) -> Answer<Reply> {
        self.transport.request(self.request).await
    }

    async fn answer<T: DeserializeOwned>(self) -> Answer<T> {
        let reply = self.send().await?;
        if !is_success(&reply) {
            return Err(refused(problem(&reply)?));
        }
        serde_json::from_slice(&reply.body).map_err(|error| TransportError::NotRoost(error.to_string()))
    }
}

fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

fn problem(reply: &Reply) -> Answer<Problem> {
    let status = reply.status;
    serde_json::from_slice(&reply.body).map_err(|_| TransportError::NotRoost(format!("status {status}")))
}

fn refused(problem: Problem) -> TransportError {
    TransportError::Refused {
        code: problem.code,
        detail: clipped(&problem.detail),
        retry_after_ms: problem.retry_after_ms.unwrap_or(0),
    }
}

/// As much of a server's words as a person is shown.
fn clipped(text: &str) -> String {
    text.chars().take(ERROR_TEXT_MAX).collect()
}
