//! What goes wrong, and when.

use roost::driver::courier::Courier;
use roost::sync::Event;
use roost_server::fanout::board::Board;
use roost_server::store::Store as _;
use roost_server::store::memory::MemoryStore;

use super::app::NEWEST;
use super::clock::EPOCH_MS;
use super::judge::QUOTA_BYTES;
use super::membership::DEVICES_MAX;
use super::world::{Happening, World, wait};

/// How long things go wrong.
const CHAOS_MS: u64 = 60_000;

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
    Unlink,
    Revoke,
    Scope,
    Clone { first: usize },
    Keep { first: usize },
    Return,
    Backup,
    Restore,
    Update,
    Full,
    Elsewhere,
}

impl World {
    /// Everything goes wrong for a while.
    pub fn chaos(&mut self) {
        let end = EPOCH_MS + CHAOS_MS;
        let kinds: [(Fault, u64); 9] = [
            (Fault::CrashDevice, 8),
            (Fault::Reset, 10),
            (Fault::Partition, 5),
            (Fault::CrashServer, 3),
            (Fault::JumpClock, 3),
            (Fault::Share, 4),
            (Fault::Unlink, 1),
            (Fault::Revoke, 2),
            (Fault::Scope, 3),
        ];
        for (fault, most) in kinds {
            for _ in 0..self.random.below(most + 1) {
                let at = self.random.between(EPOCH_MS + 500, end - 1_000);
                self.at(at, Happening::Fault(fault));
            }
        }
        if self.lie.is_some() || self.moves {
            return self.run_until(end); // one thing at a time: a log gets a new id once an hour at the most
        }
        // What the owner's device and the server forget at the same time, nobody can bring back.
        let forgets = self.random.one_in(3);
        let first = usize::from(forgets);
        if self.random.one_in(6) {
            let at = self.random.between(EPOCH_MS + 5_000, end - 10_000);
            self.at(at, Happening::Fault(Fault::Clone { first }));
        }
        if self.random.one_in(4) {
            let keep = self.random.between(EPOCH_MS + 2_000, end - 20_000);
            let back = self.random.between(keep + 1_000, end - 2_000);
            self.at(keep, Happening::Fault(Fault::Keep { first }));
            self.at(back, Happening::Fault(Fault::Return));
        }
        if forgets && self.random.one_in(2) {
            let backup = self.random.between(EPOCH_MS + 2_000, end - 20_000);
            let restore = self.random.between(backup + 1_000, end - 2_000);
            self.at(backup, Happening::Fault(Fault::Backup));
            self.at(restore, Happening::Fault(Fault::Restore));
        } else if forgets {
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
        if self.has_looks {
            self.devices[device].look(&mut random);
        }
        // The worker is poked.
        self.drive(device, |_| Ok(()));
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
                self.board = Board::default(); // of the process that is to come
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
            Fault::Unlink => self.unlink(),
            Fault::Revoke => self.revoke(),
            Fault::Scope => self.change_scope(),
            Fault::Clone { first } => self.clone_device(victim.max(first)),
            Fault::Keep { first } => self.keep_device(victim.max(first)),
            Fault::Return => self.return_device(),
            Fault::Backup => self.backup = Some(self.store.copy()),
            Fault::Update => self.update(victim),
            Fault::Full => {
                let found = wait(self.store.workspace(self.workspace)).ok().flatten();
                self.store.limit(found.map_or(0, |workspace| workspace.bytes));
            }
            Fault::Restore => {
                if let Some(backup) = self.backup.take() {
                    self.restore(&backup);
                }
            }
            Fault::Elsewhere => {
                self.backup = Some(self.store.copy());
                self.restore(&MemoryStore::new(QUOTA_BYTES));
            }
        }
        wait(self.store.check(self.workspace));
    }

    /// The address leads to what this server holds.
    fn restore(&mut self, held: &MemoryStore) {
        self.was_restored = true;
        self.store.restore(held);
        self.forget_revocations();
        self.reset_all();
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
        self.transports[device].courier = Courier::default(); // a new process
        match self.devices[device].start() {
            Ok(true) => self.event(device, Event::Start),
            Ok(false) => {
                self.reached.died_in_step += 1;
                self.note(|| format!("device {device} dies in a step"));
                self.after(100, Happening::Fault(Fault::StartDevice(device)));
            }
            Err(error) => self.verdict(error),
        }
    }

    /// From some time on the workspace takes no more edits.
    pub fn plan_full(&mut self) {
        let at = self.random.between(EPOCH_MS + 5_000, EPOCH_MS + CHAOS_MS / 2);
        self.at(at, Happening::Fault(Fault::Full));
    }

    /// The address leads to another, empty server, and in half of the worlds back to the first.
    pub fn plan_move(&mut self) {
        self.moves = true;
        let away = self.random.between(EPOCH_MS + 5_000, EPOCH_MS + CHAOS_MS / 2);
        self.at(away, Happening::Fault(Fault::Elsewhere));
        if self.random.one_in(2) {
            let back = self.random.between(away + 8_000, EPOCH_MS + CHAOS_MS - 5_000);
            self.at(back, Happening::Fault(Fault::Restore));
        }
    }

    /// Updates of the app, spread over the time in which things go wrong.
    pub fn plan_updates(&mut self) {
        for _ in 0..self.random.between(2, 8) {
            let at = self.random.between(EPOCH_MS + 2_000, EPOCH_MS + CHAOS_MS - 1_000);
            self.at(at, Happening::Fault(Fault::Update));
        }
    }

    /// The process ends, and starts again as a later release; some die on the way there.
    fn update(&mut self, device: usize) {
        let chosen = u32::try_from(self.random.between(2, u64::from(NEWEST))).unwrap_or(NEWEST);
        let held = self.devices[device].app.as_ref().map_or(chosen, |app| app.version);
        let version = if self.random.one_in(4) { chosen } else { chosen.max(held) }; // some go back
        let dies_in = u32::try_from(self.random.below(4)).unwrap_or(0);
        self.devices[device].update(version, dies_in);
        self.reached.updated += 1;
        self.crash_device(device);
    }

    /// Everyone comes back, the one that was away for long too, and has the newest release.
    pub fn update_all(&mut self) {
        for device in 0..self.devices.len() {
            self.devices[device].update(NEWEST, 0);
            self.crash_device(device);
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
}
