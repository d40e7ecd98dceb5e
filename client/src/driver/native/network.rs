//! Requests over HTTP.

use std::time::Duration;

use reqwest::{Client, Response};
use roost_shared::WorkspaceId;
use roost_shared::limits::HTTP_BODY_MAX;

use super::websocket;
use crate::transport::{Method, Pending, Reply, Request, Socket, Transport, TransportError};

/// A whole request; a page of entries over a thin line takes a while.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The machine's own network: HTTP, and a WebSocket for what is live.
pub struct Network {
    client: Client,
}

impl Network {
    /// Follows no redirect; TLS by the machine's roots.
    pub fn new() -> Result<Self, TransportError> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(unreachable)?;
        Ok(Self { client })
    }
}

impl Transport for Network {
    fn request(&self, request: Request) -> Pending<'static, Result<Reply, TransportError>> {
        let mut asking = match request.method {
            Method::Get => self.client.get(request.url),
            Method::Post => self.client.post(request.url),
            Method::Delete => self.client.delete(request.url),
        };
        for (name, value) in request.headers {
            asking = asking.header(name, value);
        }
        if let Some(body) = request.body {
            asking = asking.header("content-type", "application/json").body(body);
        }
        Box::pin(async move {
            let response = asking.send().await.map_err(unreachable)?;
            let status = response.status();
            let max = if status.is_success() { request.answer_max } else { HTTP_BODY_MAX };
            Ok(Reply { status: status.as_u16(), body: read(response, max).await? })
        })
    }

    fn connect(
        &self,
        server: &str,
        workspace: WorkspaceId,
        token: &str,
    ) -> Pending<'static, Result<Box<dyn Socket>, TransportError>> {
        let (server, token) = (server.to_owned(), token.to_owned());
        Box::pin(async move {
            let socket = websocket::Line::open(&server, workspace, &token).await?;
            Ok(Box::new(socket) as Box<dyn Socket>)
        })
    }
}

async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > max {
            return Err(TransportError::NotRoost("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
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
