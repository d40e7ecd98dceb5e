//! What the devices look at, between the machine that knows when and the socket: sealed, signed, opened, checked.

use roost_shared::DeviceId;
use roost_shared::limits::PRESENCE_STATE_MAX;
use roost_shared::presence::{PresenceHeader, SealedPresence, decode_state, encode_state};
use roost_shared::wire::message::ClientMessage;

use super::{Output, Replica};
use crate::keys::seal;
use crate::presence::{Presence, Say};

/// What an app wants shown does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what a device shows is at most {PRESENCE_STATE_MAX} bytes of JSON, this is {0}: put the rest into a document")]
pub struct PresenceTooLarge(pub usize);

impl Replica {
    /// What the other devices see from now on that this one looks at; None for nothing.
    pub fn show(&mut self, presence: Option<Presence>) -> Result<(), PresenceTooLarge> {
        let len = presence.as_ref().map_or(0, |presence| presence.state.to_string().len());
        if len > PRESENCE_STATE_MAX {
            return Err(PresenceTooLarge(len));
        }
        self.presences.show(self.clock.monotonic_ms(), presence);
        Ok(())
    }

    /// What another device shows, as far as it was heard of lately.
    pub fn presence_of(&self, device: DeviceId) -> Option<&Presence> {
        self.presences.of(device)
    }

    /// Whether another device shows something else since the last call.
    pub fn take_looks(&mut self) -> bool {
        self.presences.take_changed()
    }

    /// After every event, and after [`Replica::show`]: what is to be said.
    pub fn present(&mut self) -> Option<Output> {
        let say = self.presences.step(self.clock.monotonic_ms(), self.machine.takes_presence());
        let presence = match say? {
            Say::Nothing => Vec::new(),
            Say::Shows { counter, presence } => self.sealed_presence(counter, &presence)?,
        };
        Some(Output::Send(ClientMessage::Ephemeral { presence }))
    }

    /// None before this device holds the current epoch's key.
    fn sealed_presence(&mut self, counter: u64, presence: &Presence) -> Option<Vec<u8>> {
        let session = *self.session.get_or_insert_with(|| u64::from_be_bytes(self.clock.random()));
        let epoch = self.held().roster().epoch();
        let (workspace, device) = (self.identity.workspace, self.device.device_id());
        let header = PresenceHeader { epoch, workspace, device, session, counter, nonce: self.clock.random() };
        let plaintext = encode_state(presence.document, &presence.state.to_string())?;
        Some(seal::presence(self.ring.get(epoch)?, &self.device, header, &plaintext).into_bytes())
    }

    /// The server says what a device shows. What is not signed by it, or is of another epoch, shows nothing: a server can
    /// hide what a device shows, or show what it kept, and make nothing up.
    pub(super) fn presented(&mut self, device: DeviceId, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return self.presences.gone(device);
        }
        if let Some((session, counter, presence)) = self.opened_presence(device, bytes) {
            self.presences.heard(self.clock.monotonic_ms(), device, session, counter, presence);
        }
    }

    fn opened_presence(&self, device: DeviceId, bytes: Vec<u8>) -> Option<(u64, u64, Presence)> {
        let sealed = SealedPresence::parse(bytes).ok()?;
        let header = sealed.header();
        let roster = self.held().roster();
        roster.scope(device)?;
        let is_own = device == self.device.device_id();
        let is_meant = header.device == device && header.workspace == self.identity.workspace;
        if is_own || !is_meant || header.epoch != roster.epoch() {
            return None;
        }
        if !sealed.is_signed_by(&roster.member(device)?.key) {
            return None;
        }
        let plaintext = seal::open_presence(self.ring.get(header.epoch)?, &sealed).ok()?;
        let (document, state) = decode_state(&plaintext).ok()?;
        let presence = Presence { document, state: serde_json::from_str(state).ok()? };
        Some((header.session, header.counter, presence))
    }
}
