//! The device's way to its socket, with the bugs that are planted there.

use roost::driver::courier::Courier;
use roost::keys::ring::KeyRing;
use roost::keys::seal;
use roost::sync::Log;
use roost_shared::wire::http::TokenIs;
use roost_shared::wire::message::{Append, ClientMessage, ServerMessage};
use roost_shared::{Code, Envelope, Header};

use super::plant::Plant;
use super::world::World;

/// What a transport remembers.
#[derive(Default)]
pub struct Transport {
    /// The shipped courier of the device's process.
    pub courier: Courier,
    /// The token that the last socket was opened with.
    pub token: Option<TokenIs>,
    /// The last Append, and the socket it went to.
    last: Option<(u64, Append)>,
}

impl World {
    /// A message on its way out.
    pub fn outgoing(&mut self, device: usize, message: Vec<u8>) -> Vec<u8> {
        let Ok(ClientMessage::Append(append)) = ClientMessage::decode(&message) else { return message };
        let socket = self.devices[device].socket;
        let before = self.transports[device].last.replace((socket, append.clone()));
        let is_resent =
            before.is_some_and(|(earlier, before)| earlier != socket && before.envelopes == append.envelopes);
        if self.plant == Some(Plant::ResendUnderNewNumber) && is_resent {
            let more = append.envelopes.len() as u64;
            return ClientMessage::Append(self.resealed(device, &append, more).unwrap_or(append)).encode();
        }
        message
    }

    /// A message on its way in; None if the transport keeps it.
    pub fn incoming(&mut self, device: usize, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if self.plant == Some(Plant::RepairOneByOne)
            && let Ok(ServerMessage::Refused { code, .. }) = ServerMessage::decode(&bytes)
        {
            let more = match code {
                Code::EpochStale | Code::BaseMismatch => 0,
                Code::Equivocation | Code::AuthorGap => 1,
                _ => return Some(bytes),
            };
            let (_, last) = self.transports[device].last.clone()?;
            if let Some(repaired) = self.resealed(device, &last, more) {
                self.transports[device].last = Some((self.devices[device].socket, repaired.clone()));
                self.send(device, ClientMessage::Append(repaired).encode());
                return None;
            }
        }
        Some(bytes)
    }

    /// The same plaintexts under other numbers and the epoch and base of now.
    fn resealed(&mut self, device: usize, append: &Append, more: u64) -> Option<Append> {
        let keys = self.devices[device].keys.clone();
        let replica = self.devices[device].replica()?;
        let ring = KeyRing::open(replica.held().records(), &[&keys]);
        let epoch = replica.held().roster().epoch();
        let log: &Log = replica.machine().log();
        let (base_size, base_root) = (log.cursor(), log.frontier.root());
        let mut envelopes = Vec::new();
        for bytes in &append.envelopes {
            let envelope = Envelope::parse(bytes.clone()).ok()?;
            let old = envelope.header().clone();
            let plaintext = seal::plaintext(ring.get(old.epoch)?, &envelope).ok()?;
            let header =
                Header { epoch, author_seq: old.author_seq + more, base_size, base_root, nonce: [9; 24], ..old };
            envelopes.push(seal::envelope(ring.get(epoch)?, &keys, header, &plaintext).into_bytes());
        }
        Some(Append { id: append.id, if_tail: None, envelopes })
    }
}
