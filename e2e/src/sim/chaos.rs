//! What goes wrong, and when.

use std::sync::Arc;

use roost::Scope;
use roost::clock::Clock;
use roost::join::{Joiner, Place};
use roost::keys::link::ShareLink;
use roost::keys::{KeyPair, Seed};
use roost::store::Identity;
use roost::sync::{Chain, Event};
use roost_server::store::{Redeem, Store as _};
use roost_shared::{Code, LogId};

use super::clock::{EPOCH_MS, SimClock};
use super::world::{Happening, SERVER, World, new_store, wait};

/// How long things go wrong.
const CHAOS_MS: u64 = 60_000;
/// Devices at the most.
const DEVICES_MAX: usize = 5;

/// Something that goes wrong, or that a person does at a bad moment.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    CrashDevice,
    StartDevice(usize),
    Reset,
    Partition,
    Away(usize),
    Reconnect(usize),
    CrashServer,
    StartServer,
    JumpClock,
    Share,
    Join { link: usize },
    Backup,
    Restore,
}

impl World {
    /// Everything goes wrong for a while.
    pub fn chaos(&mut self) {
        let end = EPOCH_MS + CHAOS_MS;
        let kinds: [(Fault, u64); 6] = [
            (Fault::CrashDevice, 8),
            (Fault::Reset, 10),
            (Fault::Partition, 5),
            (Fault::CrashServer, 3),
            (Fault::JumpClock, 3),
            (Fault::Share, 4),
        ];
        for (fault, most) in kinds {
            for _ in 0..self.random.below(most + 1) {
                let at = self.random.between(EPOCH_MS + 500, end - 1_000);
                self.at(at, Happening::Fault(fault));
            }
        }
        if self.random.one_in(4) {
            let backup = self.random.between(EPOCH_MS + 2_000, end - 20_000);
            let restore = self.random.between(backup + 1_000, end - 2_000);
            self.at(backup, Happening::Fault(Fault::Backup));
            self.at(restore, Happening::Fault(Fault::Restore));
        } else if self.random.one_in(6) {
            self.fork(end);
        }
        self.run_until(end);
    }

    pub fn edit_later(&mut self, device: usize) {
        let delay = if self.random.one_in(4) { self.random.between(2_000, 8_000) } else { self.random.between(5, 900) };
        self.after(delay, Happening::Edit { device });
    }

    pub fn edit(&mut self, device: usize) {
        if self.is_healing {
            return;
        }
        let mut random = self.random.split();
        if let Err(error) = self.devices[device].edit(&mut random) {
            self.verdict(format!("device {device} cannot edit: {error}"));
        }
        // The worker is poked.
        self.drive(device, |_| Ok(Vec::new()));
        self.edit_later(device);
    }

    pub fn fault(&mut self, fault: Fault) {
        if self.is_healing && !matches!(fault, Fault::StartDevice(_) | Fault::Reconnect(_) | Fault::StartServer) {
            return;
        }
        self.note(|| format!("{fault:?}"));
        let victim = self.random.index(self.devices.len());
        match fault {
            Fault::CrashDevice => self.crash_device(victim),
            Fault::StartDevice(device) => self.start_device(device),
            Fault::Reset => {
                let numbers: Vec<u64> = self.conversations.keys().copied().collect();
                if !numbers.is_empty() {
                    let which = self.random.index(numbers.len());
                    self.reset(numbers[which]);
                }
            }
            Fault::Partition => self.away(victim),
            Fault::Away(device) => self.away(device),
            Fault::Reconnect(device) => self.reconnect(device),
            Fault::CrashServer => {
                self.server_is_up = false;
                self.store.crash();
                self.reset_all();
                let back = self.random.between(200, 5_000);
                self.after(back, Happening::Fault(Fault::StartServer));
            }
            Fault::StartServer => self.server_is_up = true,
            Fault::JumpClock => {
                let by = i64::try_from(self.random.below(7_200_000)).unwrap_or(0) - 3_600_000;
                self.devices[victim].clock.jump(by);
            }
            Fault::Share => self.share(),
            Fault::Join { link } => self.join(link),
            Fault::Backup => self.backup = Some(self.store.copy()),
            Fault::Restore => {
                if let Some(backup) = self.backup.take() {
                    self.was_restored = true;
                    self.store.restore(&backup);
                    self.reset_all();
                }
            }
        }
        wait(self.store.check(self.workspace));
    }

    /// The way to two branches of the roster: links, a backup, joins, the backup restored, and other joins before those
    /// are back who know what the server forgot.
    fn fork(&mut self, end: u64) {
        let backup = self.random.between(EPOCH_MS + 6_000, end - 20_000);
        for before in [5_000, 3_000] {
            self.at(backup - before, Happening::Fault(Fault::Share));
        }
        self.at(backup, Happening::Fault(Fault::Backup));
        let restore = backup + self.random.between(2_000, 10_000);
        if self.random.one_in(2) {
            self.at(backup, Happening::Fault(Fault::Away(0))); // the owner does not see who joins
        }
        self.at(backup + 500, Happening::Fault(Fault::Join { link: 0 }));
        for device in 0..DEVICES_MAX {
            self.at(restore - 1, Happening::Fault(Fault::Away(device)));
        }
        self.at(restore, Happening::Fault(Fault::Restore));
        self.at(restore + 100, Happening::Fault(Fault::Join { link: 1 }));
    }

    pub fn reset_all(&mut self) {
        let numbers: Vec<u64> = self.conversations.keys().copied().collect();
        for number in numbers {
            self.reset(number);
        }
    }

    fn away(&mut self, device: usize) {
        if let Some(device) = self.devices.get_mut(device) {
            device.is_connected = false;
            let (number, back) = (device.number, self.random.between(500, 20_000));
            self.after(back, Happening::Fault(Fault::Reconnect(number)));
        }
    }

    fn crash_device(&mut self, device: usize) {
        self.drop_socket(device);
        self.devices[device].crash();
        self.lives[device] += 1;
        let back = self.random.between(50, 10_000);
        self.after(back, Happening::Fault(Fault::StartDevice(device)));
    }

    pub fn start_device(&mut self, device: usize) {
        if self.devices[device].replica.is_some() {
            return;
        }
        match self.devices[device].start() {
            Ok(()) => self.event(device, Event::Start),
            Err(error) => self.verdict(error),
        }
    }

    /// What was sent into a dead line never arrived, and the device finds out now.
    pub fn reconnect(&mut self, device: usize) {
        self.devices[device].is_connected = true;
        let found = self.conversations.iter().find(|(_, held)| held.device == device).map(|(number, _)| *number);
        if let Some(conversation) = found {
            self.reset(conversation);
        }
        let socket = self.devices[device].socket;
        self.after(1, Happening::Closed { device, socket });
    }

    /// The owner makes a link; one or two people open it.
    fn share(&mut self) {
        if self.devices.len() >= DEVICES_MAX {
            return;
        }
        let Some(replica) = self.devices[0].replica() else { return };
        let Ok(link) = replica.new_link() else { return };
        let not_after_ms = EPOCH_MS + 24 * 60 * 60 * 1_000;
        let Ok(outputs) = replica.invite(link.invite(), Scope::ReadWrite, not_after_ms) else { return };
        self.links.push((link, not_after_ms));
        self.drive(0, |_| Ok(outputs));
        let link = self.links.len() - 1;
        let people = if self.random.one_in(3) { 2 } else { 1 };
        for _ in 0..people {
            let delay = self.random.between(500, 15_000);
            self.after(delay, Happening::Fault(Fault::Join { link }));
        }
    }

    fn join(&mut self, number: usize) {
        let Some((link, _)) = self.links.get(number).cloned() else { return };
        if !self.server_is_up || self.devices.len() >= DEVICES_MAX {
            return;
        }
        let clock = SimClock::new(Arc::clone(&self.time), self.random.split(), self.plant);
        if let Ok(Some(joined)) = self.new_device(&link, Arc::new(clock)) {
            let device = self.devices.len();
            self.note(|| format!("device {device} joined"));
            self.add_device(Some(number), joined.0, joined.1);
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
        wait(self.store.redeem(redeem)).map_err(|refusal| refusal.code)?;
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
