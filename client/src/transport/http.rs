//! Requests: tokens, roster records, links, a new log id.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use roost_shared::hash::Hash;
use roost_shared::limits::{ERROR_TEXT_MAX, HTTP_BODY_MAX, HTTP_CHAIN_MAX};
use roost_shared::proof::Challenge;
use roost_shared::roster::Record;
use roost_shared::wire::http::{
    AskSession, Base64, Chain, CreateWorkspace, IssueToken, IssuedToken, LogIs, PostRecord, Problem, ProposeLog,
    RecordIs, Recover, Redeem, Redeemed, TokenInfo, TokenIs, TokensAre, WorkspaceIs,
};
use roost_shared::{Code, LogId, WorkspaceId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TransportError;
use crate::keys::KeyPair;

/// A whole request; a page of entries over a thin line takes a while.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Answer<T> = Result<T, TransportError>;

/// Requests to one server.
#[derive(Clone)]
pub struct Http {
    client: Client,
    server: String,
    admission_key: Option<String>,
}

impl Http {
    /// For the server at this origin.
    pub fn new(server: &str, admission_key: Option<String>) -> Answer<Self> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(unreachable)?;
        Ok(Self { client, server: server.to_owned(), admission_key })
    }

    /// The server's origin.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.server))
    }

    /// A token for an active device: asks for a nonce, signs it, asks again.
    pub async fn session(&self, workspace: WorkspaceId, device: &KeyPair) -> Answer<TokenIs> {
        self.session_as(workspace, device, None).await
    }

    /// The same; a master token if the owner signs besides.
    pub async fn session_as(
        &self,
        workspace: WorkspaceId,
        device: &KeyPair,
        owner: Option<&KeyPair>,
    ) -> Answer<TokenIs> {
        let mut ask =
            AskSession { workspace, device: device.device_id(), nonce: None, signature: None, owner_signature: None };
        let first = send(self.post("/v1/session"), &ask).await?;
        let nonce = match problem(first).await? {
            Problem { code: Code::NonceInvalid, nonce: Some(nonce), .. } => nonce,
            other => return Err(refused(other)),
        };
        // Signing for another name would let a server in between use the proof elsewhere.
        if nonce.audience != self.server {
            return Err(TransportError::Audience { ours: self.server.clone(), theirs: clipped(&nonce.audience) });
        }
        let challenge =
            Challenge { nonce: &nonce.nonce.0, audience: &self.server, workspace, device: device.device_id() };
        ask.signature = Some(Base64(device.sign(&challenge.session()).to_vec()));
        ask.owner_signature = owner.map(|owner| Base64(owner.sign(&challenge.master()).to_vec()));
        ask.nonce = Some(nonce.nonce);
        json(send(self.post("/v1/session"), &ask).await?).await
    }

    /// Creates a workspace.
    pub async fn create(&self, create: &CreateWorkspace) -> Answer<LogId> {
        let mut request = self.post("/v1/workspaces");
        if let Some(key) = &self.admission_key {
            request = request.header("roost-admission-key", key);
        }
        let log: LogIs = json(send(request, create).await?).await?;
        Ok(log.log)
    }

    /// Posts a roster record.
    pub async fn post_record(&self, record: &Record) -> Answer<RecordIs> {
        let request = self.post(&format!("/v1/workspaces/{}/roster", record.workspace));
        let body = PostRecord { record: Base64(record.as_bytes().to_vec()) };
        json(send(request, &body).await?).await
    }

    /// Asks for the workspace's log, bytes and quota.
    pub async fn workspace(&self, workspace: WorkspaceId, token: &str) -> Answer<WorkspaceIs> {
        let request = self.client.get(format!("{}/v1/workspaces/{workspace}", self.server)).bearer_auth(token);
        json(request.send().await.map_err(unreachable)?).await
    }

    /// The roster chain.
    pub async fn chain(&self, workspace: WorkspaceId, token: &str) -> Answer<Vec<Base64>> {
        let request = self.client.get(format!("{}/v1/workspaces/{workspace}/roster", self.server)).bearer_auth(token);
        let chain: Chain = json(request.send().await.map_err(unreachable)?).await?;
        Ok(chain.chain)
    }

    /// The roster chain, for whoever has the recovery phrase.
    pub async fn recover(&self, workspace: WorkspaceId, proof: Base64) -> Answer<Vec<Base64>> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/recovery"));
        let chain: Chain = json(send(request, &Recover { proof }).await?).await?;
        Ok(chain.chain)
    }

    /// Uses a link up.
    pub async fn redeem(&self, redeem: &Redeem) -> Answer<Redeemed> {
        json(send(self.post("/v1/links/redeem"), redeem).await?).await
    }

    /// A token for a client without device keys; `master` is a master token.
    pub async fn issue_token(&self, workspace: WorkspaceId, master: &str, issue: &IssueToken) -> Answer<IssuedToken> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/tokens")).bearer_auth(master);
        json(send(request, issue).await?).await
    }

    /// Those there are.
    pub async fn tokens(&self, workspace: WorkspaceId, master: &str) -> Answer<Vec<TokenInfo>> {
        let request = self.client.get(format!("{}/v1/workspaces/{workspace}/tokens", self.server)).bearer_auth(master);
        let found: TokensAre = json(request.send().await.map_err(unreachable)?).await?;
        Ok(found.tokens)
    }

    /// Takes one back.
    pub async fn withdraw_token(&self, workspace: WorkspaceId, master: &str, id: Hash) -> Answer<()> {
        let path = format!("{}/v1/workspaces/{workspace}/tokens/{id}", self.server);
        let answer = self.client.delete(path).bearer_auth(master).send().await.map_err(unreachable)?;
        if answer.status().is_success() { Ok(()) } else { Err(refused(problem(answer).await?)) }
    }

    /// Asks for a new log id.
    pub async fn propose_log(&self, workspace: WorkspaceId, token: &str, propose: &ProposeLog) -> Answer<LogId> {
        let request = self.post(&format!("/v1/workspaces/{workspace}/log")).bearer_auth(token);
        let log: LogIs = json(send(request, propose).await?).await?;
        Ok(log.log)
    }
}

async fn send(request: RequestBuilder, body: &impl Serialize) -> Answer<Response> {
    request.json(body).send().await.map_err(unreachable)
}

async fn json<T: DeserializeOwned>(response: Response) -> Answer<T> {
    if !response.status().is_success() {
        return Err(refused(problem(response).await?));
    }
    let body = read(response, HTTP_CHAIN_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| TransportError::NotRoost(error.to_string()))
}

async fn problem(response: Response) -> Answer<Problem> {
    let status = response.status();
    let body = read(response, HTTP_BODY_MAX).await?;
    serde_json::from_slice(&body).map_err(|_| TransportError::NotRoost(format!("status {status}")))
}

async fn read(mut response: Response, max: usize) -> Answer<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > max {
            return Err(TransportError::NotRoost("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
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

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn unreachable(error: reqwest::Error) -> TransportError {
    // Its text may name the URL, which holds no secret; its source says what went wrong.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    TransportError::Unreachable(cause.to_string())
}
