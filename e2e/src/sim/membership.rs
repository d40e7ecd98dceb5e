//! Who joins and who goes: what people do to the roster at bad moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roost::Scope;
use roost::clock::Clock;
use roost::keys::link::ShareLink;
use roost::keys::{KeyPair, Seed};
use roost::members::join::{Joiner, Place};
use roost::replica::{MembershipError, Replica};
use roost::store::Identity;
use roost::sync::Chain;
use roost_server::fanout::News;
use roost_server::store::{Redeem, Store as _};
use roost_shared::roster::Status;
use roost_shared::{Code, DeviceId, LogId};

use super::chaos::Fault;
use super::clock::SimClock;
use super::device::Device;
use super::plant::Plant;
use super::world::{Happening, SERVER, World, new_store, wait};

/// Devices at the most.
pub const DEVICES_MAX: usize = 5;
/// A revocation reaches every open socket within this. Promised are ten seconds, for many nodes; here is one, which is
/// woken by the very record.
const REVOKED_WITHIN_MS: u64 = 1_000;

/// What the owner asked for, and how far it came.
#[derive(Default)]
pub struct Revocations {
    /// The owner's person said so.
    pub asked: BTreeSet<DeviceId>,
    /// The owner's device saw it in the log: it may never be undone.
    pub seen: BTreeSet<DeviceId>,
    /// When the server took it.
    since_ms: BTreeMap<DeviceId, u64>,
}

impl World {
    /// The owner's person changes the roster; too busy is no fault.
    fn change(&mut self, change: impl FnOnce(&mut Replica) -> Result<(), MembershipError>) -> bool {
        let Some(replica) = self.devices[0].replica() else { return false };
        let is_changed = change(replica).is_ok();
        self.drive(0, |_| Ok(()));
        is_changed
    }

    /// Any device but the owner's, where there is one.
    fn another(&mut self) -> Option<DeviceId> {
        let mut ids: Vec<DeviceId> = self.devices.iter().map(|device| device.keys.device_id()).collect();
        let owner = ids[0];
        ids.retain(|id| *id != owner);
        if ids.is_empty() { None } else { Some(ids[self.random.index(ids.len())]) }
    }

    pub fn revoke(&mut self) {
        let Some(id) = self.another() else { return };
        if self.change(|replica| replica.revoke(id)) {
            self.revocations.asked.insert(id);
        }
    }

    pub fn unlink(&mut self) {
        if !self.links.is_empty() {
            let which = self.random.index(self.links.len());
            let id = self.links[which].0.invite().keys().device_id();
            if self.change(|replica| replica.revoke(id)) {
                self.revocations.asked.insert(id);
            }
        }
    }

    pub fn change_scope(&mut self) {
        let Some(id) = self.another() else { return };
        let scope = if self.random.one_in(2) { Scope::Read } else { Scope::ReadWrite };
        self.change(|replica| replica.set_scope(id, scope));
    }

    /// What the server took: from now on the clock runs.
    fn note_revocations(&mut self) {
        let Ok(Some(workspace)) = wait(self.store.workspace(self.workspace)) else { return };
        let now = self.now();
        for id in &self.revocations.asked {
            if workspace.roster.member(*id).is_some_and(|member| member.device.status == Status::Revoked) {
                self.revocations.since_ms.entry(*id).or_insert(now);
            }
        }
    }

    /// The owner's device has read its roster anew.
    pub fn owner_sees_roster(&mut self) {
        let Some(replica) = self.devices[0].replica.as_ref() else { return };
        let roster = replica.held().roster();
        let is_out = |id: &&DeviceId| roster.member(**id).is_some_and(|member| member.device.status == Status::Revoked);
        let seen: Vec<DeviceId> = self.revocations.asked.iter().filter(is_out).copied().collect();
        self.revocations.seen.extend(seen);
        self.reached.revoked = self.revocations.seen.len() as u64;
        self.give_links();
    }

    /// A server that was restored may have lost revocations.
    pub fn forget_revocations(&mut self) {
        self.revocations.since_ms.clear();
        self.note_revocations();
    }

    /// An entry is on its way to `who`, who must be in.
    pub fn judge_reader(&mut self, who: DeviceId) {
        let late = self.revocations.since_ms.get(&who).is_some_and(|since| self.now() > since + REVOKED_WITHIN_MS);
        if late {
            self.verdict("a revoked device is still served".to_owned());
        }
    }

    pub fn post(&mut self, record: roost_shared::roster::Record) -> Result<(), roost_server::store::Refusal> {
        let version = record.version;
        let tail = wait(self.store.append_record(self.workspace, record))?.cursor();
        self.note_revocations();
        self.wake(News::Recorded { tail, version });
        Ok(())
    }

    /// Someone copies a device's folder and runs both.
    pub fn clone_device(&mut self, device: usize) {
        let copy = self.devices.get(device).and_then(Device::copy);
        if let Some(store) = copy.filter(|_| self.devices.len() < DEVICES_MAX) {
            let clock = SimClock::new(Arc::clone(&self.time), self.random.split(), self.plant);
            let link = self.devices[device].link;
            self.was_cloned = true;
            self.reached.cloned += 1;
            self.note(|| format!("device {device} is copied"));
            let app = self.devices[device].app.clone();
            self.add_device(link, store, Arc::new(clock), app);
        }
    }

    pub fn keep_device(&mut self, device: usize) {
        if let Some(device) = self.devices.get_mut(device) {
            device.keep();
        }
    }

    /// Someone brings a device's folder back from a backup of it.
    pub fn return_device(&mut self) {
        let kept = self.devices.iter().position(|device| device.kept.is_some());
        let Some(device) = kept else { return };
        self.note(|| format!("device {device} is restored"));
        self.drop_socket(device);
        self.devices[device].crash();
        self.lives[device] += 1;
        self.was_cloned = true;
        self.reached.cloned += 1;
        self.devices[device].go_back();
        self.start_device(device);
    }

    /// The owner makes a link; one or two people will open it.
    pub fn share(&mut self) {
        if self.devices.len() >= DEVICES_MAX {
            return;
        }
        let Some(link) = self.devices[0].replica().and_then(|replica| replica.new_link().ok()) else { return };
        // Some run out before their joiner comes.
        let life_ms = if self.random.one_in(4) { self.random.between(1_000, 10_000) } else { 24 * 60 * 60 * 1_000 };
        let not_after_ms = self.now() + life_ms;
        if !self.change(|replica| replica.invite(link.invite(), Scope::ReadWrite, not_after_ms)) {
            return;
        }
        self.links.push((link, not_after_ms));
    }

    /// A person gets a link once the owner's device has read its invite in the log: what it was only told, a server could
    /// forget without anyone to bring it back.
    fn give_links(&mut self) {
        let Some(replica) = self.devices[0].replica.as_ref() else { return };
        let roster = replica.held().roster();
        let is_known = |link: &usize| roster.member(self.links[*link].0.invite().keys().device_id()).is_some();
        let new: Vec<usize> =
            (0..self.links.len()).filter(|link| !self.given.contains(link)).filter(is_known).collect();
        for link in new {
            self.given.insert(link);
            let people = if self.random.one_in(3) { 2 } else { 1 };
            for _ in 0..people {
                let delay = self.random.between(500, 15_000);
                self.after(delay, Happening::Fault(Fault::Join { link }));
            }
        }
    }

    pub fn join(&mut self, number: usize) {
        let Some((link, _)) = self.links.get(number).filter(|_| self.given.contains(&number)).cloned() else { return };
        if !self.server_is_up || self.devices.len() >= DEVICES_MAX {
            return;
        }
        let clock = SimClock::new(Arc::clone(&self.time), self.random.split(), self.plant);
        if let Ok(Some(joined)) = self.new_device(&link, Arc::new(clock)) {
            let device = self.devices.len();
            self.note(|| format!("device {device} joined"));
            let app = self.installed();
            self.add_device(Some(number), joined.0, joined.1, app);
        }
    }

    /// A new device; None when it fails as it may.
    fn new_device(
        &mut self,
        link: &ShareLink,
        clock: Arc<SimClock>,
    ) -> Result<Option<(roost::store::Store, Arc<SimClock>)>, Code> {
        let random: &dyn Clock = &*clock;
        let seed = Seed::new(random.random());
        let (device, name) = (KeyPair::device(&seed), format!("device-{}", self.devices.len()));
        let joiner = Joiner { invite: link.invite(), device: &device, name: &name };
        let Some(chain) = self.take_place(&joiner, random)? else { return Ok(None) };
        let identity = Identity {
            workspace: self.workspace,
            server: SERVER.to_owned(),
            name,
            device_seed: seed,
            owner_seed: None,
            invite: Some(link.invite().clone()),
            joined: true,
        };
        let mut store = new_store();
        store.create(&identity, LogId::ZERO, chain.records()).map_err(|_| Code::StorageFailed)?;
        Ok(Some((store, clock)))
    }

    /// The joiner's steps over the real store; None when its invite is not open.
    pub fn take_place(&mut self, joiner: &Joiner<'_>, random: &dyn Clock) -> Result<Option<Chain>, Code> {
        let invite = joiner.invite;
        let redeem = Redeem {
            workspace: self.workspace,
            link_hash: invite.link_hash(),
            access_hash: invite.access_hash(),
            device: joiner.device.device_id(),
            now_ms: self.now(),
        };
        let is_withdrawn = self.revocations.since_ms.contains_key(&invite.keys().device_id());
        let redeemed = wait(self.store.redeem(redeem));
        if !(is_withdrawn && self.plant == Some(Plant::WithdrawnLinkOpens)) {
            redeemed.map_err(|refusal| refusal.code)?;
        }
        if is_withdrawn {
            self.verdict("a link that was withdrawn let someone in".to_owned());
        }
        let ends = self.links.iter().find(|(link, _)| link.invite().link_hash() == invite.link_hash());
        if ends.is_some_and(|(_, not_after_ms)| self.now() > *not_after_ms) {
            self.verdict("a link that had run out let someone in".to_owned());
        }
        let records = wait(self.store.chain(self.workspace)).map_err(|refusal| refusal.code)?;
        let mut chain = Chain::verify(self.workspace, records).map_err(|_| Code::RosterInvalid)?;
        match joiner.place(random, &chain) {
            Place::Taken => {}
            Place::Dead => return Ok(None),
            Place::Open(record) => {
                self.post(record.clone()).map_err(|refusal| refusal.code)?;
                chain.push(record).map_err(|_| Code::RosterInvalid)?;
            }
        }
        Ok(Some(chain))
    }
}
