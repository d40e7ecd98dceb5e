//! A server that lies: what it says is changed on its way to one device. The device notices or comes to rest with the
//! others, and is never silently wrong.

use roost_shared::wire::message::{Item, ServerMessage};

use super::clock::EPOCH_MS;
use super::world::World;

/// What the server makes of the truth.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Another byte somewhere in an entry.
    Alter,
    /// An entry left out.
    Drop,
    /// An entry said twice.
    Replay,
    /// Two entries under each other's number.
    Swap,
    /// Another root at the tail.
    Root,
    /// Another root at the device's cursor: the log it knows is gone.
    Forget,
}

/// One lie, to one device.
#[derive(Debug, Clone, Copy)]
pub struct Lie {
    kind: Kind,
    from_ms: u64,
    /// Told again whenever it can be, while things go wrong.
    is_stubborn: bool,
    /// Whom it was told to.
    pub to: Option<usize>,
}

impl World {
    /// One lie some time.
    pub fn plan_lie(&mut self) {
        let kinds = [Kind::Alter, Kind::Drop, Kind::Replay, Kind::Swap, Kind::Root, Kind::Forget];
        let kind = kinds[self.random.index(kinds.len())];
        let from_ms = self.random.between(EPOCH_MS + 2_000, EPOCH_MS + 50_000);
        let is_stubborn = self.random.one_in(3);
        self.lie = Some(Lie { kind, from_ms, is_stubborn, to: None });
    }

    /// Whether this device was lied to, and will have nothing more of this server: for good; or, since it asked for a
    /// new log id already, until the hour is over.
    pub fn has_noticed(&self, device: usize) -> bool {
        let view = self.devices[device].replica.as_ref().map(|replica| replica.view());
        let lie = self.lie.filter(|lie| lie.to == Some(device));
        lie.zip(view).is_some_and(|(lie, view)| view.diverged || lie.is_stubborn && !view.synced)
    }

    /// The message as the device hears it.
    pub fn lied(&mut self, device: usize, message: &ServerMessage) -> ServerMessage {
        let mut message = message.clone();
        let Some(lie) = self.lie else { return message };
        let is_told = lie.to.is_some_and(|to| to != device || !lie.is_stubborn);
        if is_told || self.now() < lie.from_ms || self.is_healing || !self.tell(lie.kind, &mut message) {
            return message;
        }
        if lie.to.is_none() {
            self.reached.lies += 1;
        }
        self.lie = Some(Lie { to: Some(device), ..lie });
        self.note(|| format!("device {device} is lied to: {:?}", lie.kind));
        message
    }

    /// Changes the message, if it is one for this lie.
    fn tell(&mut self, kind: Kind, message: &mut ServerMessage) -> bool {
        if let (Kind::Forget, ServerMessage::Welcome(welcome)) = (kind, &mut *message) {
            let Some(root) = welcome.root_at_cursor.as_mut() else { return false };
            root.0[0] ^= 1;
            return true;
        }
        let ServerMessage::Entries { items } = message else { return false };
        let envelopes: Vec<usize> = (0..items.len()).filter(|at| matches!(items[*at], Item::Envelope { .. })).collect();
        if let Kind::Root = kind {
            let Some(Item::Tail { root, .. }) = items.last_mut() else { return false };
            root.0[0] ^= 1;
            return true;
        }
        let Some(at) = envelopes.get(self.random.index(envelopes.len().max(1))).copied() else { return false };
        match kind {
            Kind::Alter => {
                let Item::Envelope { bytes, .. } = &mut items[at] else { return false };
                let byte = self.random.index(bytes.len());
                bytes[byte] ^= 1 << self.random.below(8);
            }
            Kind::Drop => drop(items.remove(at)),
            Kind::Replay => items.insert(at, items[at].clone()),
            Kind::Swap => {
                let [one, other, ..] = envelopes[..] else { return false };
                let number = |item: &Item| match item {
                    Item::Envelope { seq, .. } => *seq,
                    _ => 0,
                };
                let (first, second) = (number(&items[one]), number(&items[other]));
                items.swap(one, other);
                for (at, number) in [(one, first), (other, second)] {
                    if let Item::Envelope { seq, .. } = &mut items[at] {
                        *seq = number;
                    }
                }
            }
            Kind::Root | Kind::Forget => return false,
        }
        true
    }
}
