//! The live socket. Reading and writing go on independently: were they one loop, two full buffers would wait for each
//! other for ever.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use roost_shared::limits::{MESSAGE_MAX, SEND_STALL_MS};
use roost_shared::{Code, WorkspaceId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::transport::{Heard, Pending, Socket, TransportError, Unheard};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time a closing socket may take to flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// A ping this often; nothing heard for three of them means the line is dead.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Messages waiting to be written. One Append is in flight at a time, so a full queue is a fault.
const WAITING_MAX: usize = 16;
/// Messages read ahead of the worker.
const READ_AHEAD: usize = 4;

/// An open WebSocket. Dropping it closes it.
pub struct Line {
    outgoing: mpsc::Sender<Vec<u8>>,
    incoming: mpsc::Receiver<Heard>,
    unheard: mpsc::WeakSender<Heard>,
    pumps: JoinSet<()>,
}

impl Line {
    /// Opens the live socket of a workspace. The token is shown so that the server charges this device for it, and not all
    /// who share its address; what lets the device in is Hello.
    pub async fn open(server: &str, workspace: WorkspaceId, token: &str) -> Result<Self, TransportError> {
        let address = format!("{}/v1/workspaces/{workspace}/live", server.replacen("http", "ws", 1));
        let malformed = |error: tokio_tungstenite::tungstenite::Error| TransportError::NotRoost(error.to_string());
        let mut request = address.as_str().into_client_request().map_err(malformed)?;
        if let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {token}")) {
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MESSAGE_MAX)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let connecting = connect_async_with_config(request, Some(config), true);
        let unreachable = |text: String| TransportError::Unreachable(text);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let (stream, _) = connected
            .map_err(|_| unreachable("no answer within ten seconds".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let (mut sink, mut source) = stream.split();
        let (outgoing, mut to_send) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
        let (heard, incoming) = mpsc::channel(READ_AHEAD);
        let (unheard, mut pumps) = (heard.downgrade(), JoinSet::new());
        let closed = heard.clone();
        pumps.spawn(async move {
            loop {
                let message = tokio::select! {
                    message = to_send.recv() => match message {
                        Some(bytes) => Message::Binary(bytes.into()),
                        None => break,
                    },
                    () = tokio::time::sleep(PING_EVERY) => Message::Ping(Vec::new().into()),
                };
                // A message is at most 1 MiB: a line that takes three stalls for it is dead.
                let sent = tokio::time::timeout(Duration::from_millis(3 * SEND_STALL_MS), sink.send(message)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
            }
            let _ = closed.send(Heard::Closed(None)).await;
        });
        pumps.spawn(async move {
            let code = loop {
                match tokio::time::timeout(3 * PING_EVERY, source.next()).await {
                    Ok(Some(Ok(Message::Binary(bytes)))) => {
                        if heard.send(Heard::Message(bytes.to_vec())).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(Ok(Message::Close(frame)))) => break frame.and_then(|frame| code_of(frame.code.into())),
                    Ok(Some(Ok(_))) => {}
                    Ok(Some(Err(_)) | None) | Err(_) => break None,
                }
            };
            let _ = heard.send(Heard::Closed(code)).await;
        });
        Ok(Self { outgoing, incoming, unheard, pumps })
    }
}

impl Socket for Line {
    fn send(&mut self, message: Vec<u8>) -> bool {
        self.outgoing.try_send(message).is_ok()
    }

    fn heard(&mut self) -> Pending<'_, Heard> {
        Box::pin(async move { self.incoming.recv().await.unwrap_or(Heard::Closed(None)) })
    }

    fn unheard(&self) -> Unheard {
        let unheard = self.unheard.clone();
        Arc::new(move || unheard.upgrade().is_some_and(|heard| heard.capacity() < heard.max_capacity()))
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            drop(self.outgoing); // the pump that sends ends with its queue
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.pumps.join_next()).await;
        })
    }
}

/// What a close number alone says; an Error message before it says more.
const fn code_of(close: u16) -> Option<Code> {
    match close {
        4401 => Some(Code::TokenExpired),
        4409 => Some(Code::LogChanged),
        4429 => Some(Code::TooMany),
        1013 => Some(Code::SlowReader),
        _ => None,
    }
}
