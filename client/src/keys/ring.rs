//! The epoch keys a device holds. They are not stored: the chain and the device's own keys give them again.

use std::collections::BTreeMap;

use roost_shared::hash::Hash;
use roost_shared::roster::{Owner, Record, RecordBody};

use super::seal::{open_back_link, unwrap};
use super::{EpochKey, KeyPair};

/// Epoch keys by epoch.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: BTreeMap<u32, EpochKey>,
}

impl KeyRing {
    /// Every key that `holders` (the device, its used invite, the owner) can open in `chain`, each checked against
    /// the commitment its owner signed.
    pub fn open(chain: &[Record], holders: &[&KeyPair]) -> Self {
        let mut ring = Self::default();
        let owners: Vec<(&Record, &Owner)> = chain
            .iter()
            .filter_map(|record| match &record.body {
                RecordBody::Owner(owner) => Some((record, owner)),
                RecordBody::Replace(_) | RecordBody::Purge => None,
            })
            .collect();
        for (record, owner) in &owners {
            ring.unwrap(record, owner, holders);
        }
        // Backwards: each epoch's first record links to the epoch before.
        for pair in owners.windows(2).rev() {
            let [(_, before), (_, owner)] = pair else { continue };
            if before.epoch < owner.epoch && !ring.keys.contains_key(&before.epoch) {
                let opened =
                    ring.get(owner.epoch).and_then(|key| open_back_link(key, before.epoch, &owner.back_link).ok());
                ring.insert(opened, before.ek_commit);
            }
        }
        ring
    }

    fn unwrap(&mut self, record: &Record, owner: &Owner, holders: &[&KeyPair]) {
        if self.keys.contains_key(&owner.epoch) {
            return;
        }
        for holder in holders {
            let id = holder.device_id();
            let device = owner.devices.iter().find(|device| device.id == id).map(|device| &device.wrap);
            let wrap = if holder.x() == owner.x { Some(&owner.wrap) } else { device };
            let opened = wrap.and_then(|wrap| unwrap(record.workspace, owner.epoch, holder, wrap).ok());
            self.insert(opened, owner.ek_commit);
        }
    }

    fn insert(&mut self, key: Option<EpochKey>, commit: Hash) {
        if let Some(key) = key.filter(|key| key.commit() == commit) {
            self.keys.insert(key.epoch(), key);
        }
    }

    /// The key of an epoch, if this device holds it.
    pub fn get(&self, epoch: u32) -> Option<&EpochKey> {
        self.keys.get(&epoch)
    }

    /// Every key, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &EpochKey> {
        self.keys.values().rev()
    }

    /// The first epoch's key, on which names hang.
    pub fn first(&self) -> Option<&EpochKey> {
        self.get(1)
    }
}
