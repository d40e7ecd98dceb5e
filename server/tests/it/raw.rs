//! Bytes on a connection, as whoever keeps to no library sends them.

use std::time::Duration;

use roost_server::store::conformance::world::{OWNER, workspace_of};
use roost_shared::Code;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::live::Server;

/// The head of a request with a body of this length, its Host left to `lines`.
pub fn head(request: &str, lines: &[&str], length: usize) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{request} HTTP/1.1\r\n{lines}content-length: {length}\r\n\r\n")
}

/// All that the server says until it closes. A reset may take the end of it.
pub async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether an answer is this refusal.
pub fn is_refusal(answer: &str, status: u16, code: Code) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(&format!("\"code\":\"{code}\""))
}

/// Waits for a fact.
pub async fn until(what: &str, fact: impl Fn() -> bool) {
    let waiting = async {
        while !fact() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "it did not come to that: {what}");
}

/// A WebSocket.
pub struct Wire {
    pub stream: TcpStream,
    /// The first line of the answer to the upgrade.
    pub status: String,
}

impl Wire {
    /// Asks for the live socket of the owner's workspace.
    pub async fn open(server: &Server, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/workspaces/{}/live HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{token}\r\n",
            workspace_of(OWNER),
            server.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        Self { stream, status }
    }

    /// The head of a masked binary frame, 14 bytes; under a mask of zeros the payload stands as it is.
    pub fn frame_of(length: usize) -> Vec<u8> {
        [&[0x82, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
    }

    /// Sends one message.
    pub async fn say(&mut self, message: &[u8]) {
        self.stream.write_all(&Self::frame_of(message.len())).await.unwrap();
        self.stream.write_all(message).await.unwrap();
    }

    /// The opcode and the payload of the next frame.
    pub async fn hear(&mut self) -> (u8, Vec<u8>) {
        let opcode = self.stream.read_u8().await.unwrap() & 0x0f;
        let length = match self.stream.read_u8().await.unwrap() {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.unwrap();
        (opcode, payload)
    }
}
