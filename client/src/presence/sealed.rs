//! Presence on its way to the other devices and back: sealed, signed, opened, checked.

use roost_shared::DeviceId;
use roost_shared::limits::PRESENCE_STATE_MAX;
use roost_shared::presence::{PresenceHeader, SealedPresence, decode_state, encode_state};

use super::board::{Presence, Presences, Say};
use crate::clock::Clock;
use crate::keys::seal;
use crate::members::standing::Standing;

/// What an app wants shown does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what a device shows is at most {PRESENCE_STATE_MAX} bytes of JSON, this is {0}: put the rest into a document")]
pub struct PresenceTooLarge(pub usize);

/// The presence of all devices, and the session that the others know this process by.
#[derive(Default)]
pub(crate) struct SealedPresences {
    board: Presences,
    /// The session of this process; None until the process showed something.
    session: Option<u64>,
}

impl SealedPresences {
    /// Shows the other devices from now on that this one looks at something, or at nothing.
    pub(crate) fn show(&mut self, now_ms: u64, presence: Option<Presence>) -> Result<(), PresenceTooLarge> {
        let len = presence.as_ref().map_or(0, |presence| presence.state.to_string().len());
        if len > PRESENCE_STATE_MAX {
            return Err(PresenceTooLarge(len));
        }
        self.board.show(now_ms, presence);
        Ok(())
    }

    /// The presence of another device, as far as it was heard of lately.
    pub(crate) fn of(&self, device: DeviceId) -> Option<&Presence> {
        self.board.of(device)
    }

    /// Whether another device shows something else since the last call.
    pub(crate) const fn take_changed(&mut self) -> bool {
        self.board.take_changed()
    }

    /// The time of the next step, by the monotonic clock.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.board.wake_at_ms()
    }

    /// One step: the bytes to be said now, where a socket takes presence.
    pub(crate) fn step(&mut self, clock: &dyn Clock, own: &Standing<'_>, is_live: bool) -> Option<Vec<u8>> {
        match self.board.step(clock.monotonic_ms(), is_live)? {
            Say::Nothing => Some(Vec::new()),
            Say::Shows { counter, presence } => self.sealed(clock, own, counter, &presence),
        }
    }

    /// None before this device holds the current epoch's key.
    fn sealed(&mut self, clock: &dyn Clock, own: &Standing<'_>, counter: u64, presence: &Presence) -> Option<Vec<u8>> {
        let session = *self.session.get_or_insert_with(|| u64::from_be_bytes(clock.random()));
        let epoch = own.roster.epoch();
        let (workspace, device) = (own.workspace, own.device.device_id());
        let header = PresenceHeader { epoch, workspace, device, session, counter, nonce: clock.random() };
        let plaintext = encode_state(presence.document, &presence.state.to_string())?;
        Some(seal::presence(own.ring.get(epoch)?, own.device, header, &plaintext).into_bytes())
    }

    /// The server says that a device shows something. Bytes that the device did not sign, or of another epoch, show nothing:
    /// a server can hide presence, or repeat it, and make nothing up.
    pub(crate) fn heard(&mut self, now_ms: u64, own: &Standing<'_>, device: DeviceId, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return self.board.gone(device);
        }
        if let Some((session, counter, presence)) = opened(own, device, bytes) {
            self.board.heard(now_ms, device, session, counter, presence);
        }
    }
}

fn opened(own: &Standing<'_>, device: DeviceId, bytes: Vec<u8>) -> Option<(u64, u64, Presence)> {
    let sealed = SealedPresence::parse(bytes).ok()?;
    let header = sealed.header();
    own.roster.scope(device)?;
    let is_own = device == own.device.device_id();
    let is_meant = header.device == device && header.workspace == own.workspace;
    if is_own || !is_meant || header.epoch != own.roster.epoch() {
        return None;
    }
    if !sealed.is_signed_by(&own.roster.member(device)?.key) {
        return None;
    }
    let plaintext = seal::open_presence(own.ring.get(header.epoch)?, &sealed).ok()?;
    let (document, state) = decode_state(&plaintext).ok()?;
    let presence = Presence { document, state: serde_json::from_str(state).ok()? };
    Some((header.session, header.counter, presence))
}
