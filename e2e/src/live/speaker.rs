//! A device that speaks the protocol by hand: for figures and attacks.

use std::path::Path;
use std::sync::Arc;

use roost::clock::SystemClock;
use roost::driver::native::network::Network;
use roost::keys::KeyPair;
use roost::replica::Replica;
use roost::schema::Schema;
use roost::store::Store;
use roost::sync::{Chain, Log};
use roost::transport::server::Server;
use roost::transport::{Heard, Socket};
use roost::{Durability, WorkspaceId};
use roost_shared::proof::Challenge;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::message::{ClientMessage, Hello, ServerMessage, Token};

/// What went wrong, for a person.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// A device as its file has it.
pub struct Speaker {
    pub workspace: WorkspaceId,
    pub keys: KeyPair,
    pub held: Chain,
    pub log: Log,
}

impl Speaker {
    /// Reads a device's folder, which must not be in use.
    pub fn of(dir: &Path) -> Result<Self, Problem> {
        let files = std::fs::read_dir(dir)?.flatten().map(|entry| entry.path());
        let path = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "db"));
        let store = Store::open(&path.ok_or("no file")?, Durability::Process)?;
        let replica = Replica::open(store, Arc::new(SystemClock), Schema::default())?.ok_or("never joined")?;
        Ok(Self {
            workspace: replica.identity().workspace,
            keys: replica.device().clone(),
            held: replica.held().clone(),
            log: replica.machine().log().clone(),
        })
    }

    /// A token.
    pub async fn token(&self, server: &str) -> Result<String, Problem> {
        Ok(self::server(server)?.session(self.workspace, &self.keys).await?.token)
    }

    /// A socket that was welcomed.
    pub async fn connect(&self, server: &str, token: &str) -> Result<Box<dyn Socket>, Problem> {
        let mut socket = self::server(server)?.connect(self.workspace, token).await?;
        let ServerMessage::Challenge { nonce } = next(&mut *socket).await? else { return Err("no challenge".into()) };
        let device = self.keys.device_id();
        let challenge = Challenge { nonce: &nonce, audience: server, workspace: self.workspace, device };
        let hello = Hello {
            protocol: PROTOCOL,
            token: Token(token.to_owned()),
            proof: self.keys.sign(&challenge.hello()),
            workspace: self.workspace,
            device,
            log: self.log.id,
            cursor: self.log.cursor().0,
            root: self.log.frontier.root(),
            documents: None,
        };
        socket.send(ClientMessage::Hello(hello).encode());
        while !matches!(next(&mut *socket).await?, ServerMessage::Welcome(_)) {}
        Ok(socket)
    }
}

/// The server at this address.
pub fn server(address: &str) -> Result<Server, Problem> {
    Ok(Server::new(Arc::new(Network::new()?), address, None))
}

/// The next message; an Error or the end is a problem.
pub async fn next(socket: &mut dyn Socket) -> Result<ServerMessage, Problem> {
    match socket.heard().await {
        Heard::Message(bytes) => match ServerMessage::decode(&bytes)? {
            ServerMessage::Error { code, message } => Err(format!("{code}: {message}").into()),
            message => Ok(message),
        },
        Heard::Closed(code) => Err(format!("closed: {code:?}").into()),
    }
}
