//! The world heals, and must come to rest with nothing lost.

use std::collections::BTreeMap;

use roost::Scope;
use roost::keys::ring::KeyRing;
use roost::keys::{KeyPair, seal};
use roost::loro::LoroDoc;
use roost_server::store::{Store as _, Workspace};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::roster::Status;
use roost_shared::{Cursor, Envelope};

use super::clock::EPOCH_MS;
use super::device::{Device, Mark};
use super::world::{World, wait};

/// Counters from, to (excluded), and the entry that holds them.
type Range = (i32, i32, u64);

/// Two backoff caps and a margin for slow messages and one lost answer's timeout.
const REST_MS: u64 = 100_000;

impl World {
    /// No more faults; everyone is up and connected.
    pub fn heal(&mut self) {
        if self.is_condemned() {
            return;
        }
        self.is_healing = true;
        self.server_is_up = true;
        self.note(|| "heal".to_owned());
        for device in 0..self.devices.len() {
            self.start_device(device);
            if !self.devices[device].is_connected {
                self.reconnect(device);
            }
        }
        let until = self.now().max(EPOCH_MS) + REST_MS;
        self.run_until(until);
        if !self.is_condemned() {
            self.check_rest();
        }
    }

    fn check_rest(&mut self) {
        wait(self.store.check(self.workspace));
        let Ok(Some(workspace)) = wait(self.store.workspace(self.workspace)) else {
            return self.verdict("the workspace is gone".to_owned());
        };
        self.check_revoked(&workspace);
        let members = self.members(&workspace);
        let writes =
            |device: &usize| workspace.roster.scope(self.devices[*device].keys.device_id()) == Some(Scope::ReadWrite);
        let (stopped, members): (Vec<usize>, Vec<usize>) =
            members.into_iter().partition(|device| self.has_noticed(*device));
        self.reached.stopped += stopped.len() as u64;
        let writers: Vec<usize> = members.iter().copied().filter(writes).collect();
        let marks: Vec<Mark> = writers.iter().flat_map(|device| self.devices[*device].marks.clone()).collect();
        let mut first = None;
        for device in members.iter().copied() {
            let Some(replica) = self.devices[device].replica() else {
                self.verdict(format!("device {device} is dead"));
                continue;
            };
            let (view, has_work) = (replica.view(), replica.has_work());
            let contradicted = replica.contradicted().unwrap_or_default();
            let (log, cursor, root) =
                (replica.machine().log().id, replica.machine().log().cursor(), replica.machine().log().frontier.root());
            if !view.synced || has_work {
                self.verdict(format!("device {device} did not come to rest: {view:?}"));
            }
            if !contradicted.is_empty() {
                self.verdict(format!("device {device} still contradicts {contradicted:?}"));
            }
            if view.seen_by != view.others && stopped.is_empty() {
                self.verdict(format!("device {device} knows of {} of {} who read it all", view.seen_by, view.others));
            }
            if (log, cursor, root) != (workspace.log(), workspace.tail(), workspace.frontier.root()) {
                self.verdict(format!("device {device} stands at {cursor} of {}", workspace.tail()));
            }
            if let Err(missing) = self.devices[device].has_marks(&marks) {
                self.verdict(format!("device {device} lacks an edit: {missing}"));
            }
            if let Err(wrong) = self.devices[device].check_app(&marks, self.was_restored) {
                self.verdict(format!("device {device}: {wrong}"));
            }
            if !writers.contains(&device) {
                continue; // what it typed before it was made a reader stays with it
            }
            let digests = self.devices[device].digests();
            self.note(|| format!("device {device} rests at {cursor} with {digests:?}"));
            match &first {
                None => first = Some(digests),
                Some(first) if *first != digests => self.verdict(format!("device {device} holds other documents")),
                Some(_) => {}
            }
        }
        if !self.was_restored && !self.was_cloned {
            self.check_no_double();
        }
        if stopped.is_empty() && !self.was_cloned {
            self.check_presence(&members);
        }
    }

    /// Everyone sees what the others look at.
    fn check_presence(&mut self, members: &[usize]) {
        for (one, other) in members.iter().flat_map(|one| members.iter().map(move |other| (*one, *other))) {
            let (id, shows) = (self.devices[other].keys.device_id(), self.devices[other].shows.clone());
            let seen = self.devices[one].replica().and_then(|replica| replica.presence_of(id).cloned());
            if one != other && seen != shows {
                self.verdict(format!("device {one} sees that {other} looks at {seen:?}, which looks at {shows:?}"));
            }
            self.reached.looks += u64::from(one != other && seen.is_some());
        }
    }

    /// Everyone but those who were sent away, and those whose join the server forgot after its link was used again, whom
    /// the owner sends away, or withdrawn.
    fn members(&self, workspace: &Workspace) -> Vec<usize> {
        let scope = |device: &Device| workspace.roster.scope(device.keys.device_id());
        let is_listed = |device: &Device| workspace.roster.member(device.keys.device_id()).is_some();
        let is_spent = |device: &Device| {
            let mut others = self.devices.iter().filter(|other| other.number != device.number);
            device.link.is_some() && others.any(|other| other.link == device.link && is_listed(other))
        };
        let is_intruder = |device: &Device| self.was_restored && is_spent(device);
        let was_asked = |device: &Device| self.revocations.asked.contains(&device.keys.device_id());
        let is_withdrawn = |device: &Device| {
            let invite = device.link.map(|link| self.links[link].0.invite().keys().device_id());
            self.was_restored && invite.is_some_and(|invite| self.revocations.asked.contains(&invite))
        };
        // Forgotten before the owner saw it, and its link ran out since: it needs a new one.
        let has_run_out = |device: &Device| {
            let ends_ms = device.link.map(|link| self.links[link].1);
            self.was_restored && !is_listed(device) && ends_ms.is_some_and(|ends_ms| self.now() > ends_ms)
        };
        let is_out = |device: &Device| {
            let may_be = is_intruder(device) || was_asked(device) || is_withdrawn(device) || has_run_out(device);
            scope(device).is_none() && may_be
        };
        self.devices.iter().filter(|device| !is_out(device)).map(|device| device.number).collect()
    }

    /// Who was sent away stays away, and opens nothing that was written since.
    fn check_revoked(&self, workspace: &Workspace) {
        let status = |id| workspace.roster.member(id).map(|member| member.device.status);
        for id in &self.revocations.seen {
            // An invite that was used on another branch stays used up there; who used it is out.
            if !matches!(status(*id), Some(Status::Revoked | Status::Replaced)) {
                self.verdict(format!("the revocation of {id} was lost"));
            }
        }
        let Ok(records) = wait(self.store.chain(self.workspace)) else { return };
        for device in self.devices.iter().filter(|device| status(device.keys.device_id()) == Some(Status::Revoked)) {
            let link = device.link.map(|link| self.links[link].0.invite().keys());
            let holders: Vec<&KeyPair> = std::iter::once(&device.keys).chain(&link).collect();
            if KeyRing::open(&records, &holders).get(workspace.roster.epoch()).is_some() {
                self.verdict(format!("device {} was sent away and opens the current epoch", device.number));
            }
        }
    }

    /// Where no history was lost, every operation stands in the log exactly once.
    fn check_no_double(&mut self) {
        let keys = self.devices[0].keys.clone();
        let Some(replica) = self.devices[0].replica() else { return };
        let ring = KeyRing::open(replica.held().records(), &[&keys]);
        let mut seen: BTreeMap<(String, u64), Vec<Range>> = BTreeMap::new();
        let mut cursor = Cursor::START;
        while let Ok(page) = wait(self.store.read(self.workspace, cursor, 1 << 20)) {
            let Some(last) = page.entries.last().map(|entry| entry.seq.cursor()) else { break };
            cursor = last;
            for entry in page.entries {
                let Some(envelope) = entry.body.and_then(|bytes| Envelope::parse(bytes).ok()) else { continue };
                for (peer, start, end) in operations(&ring, &envelope) {
                    if peer >> 63 == 1 {
                        continue; // computed, by every device that came to the same
                    }
                    let document = envelope.header().document.to_string();
                    seen.entry((document, peer)).or_default().push((start, end, entry.seq.get()));
                }
            }
        }
        for ((document, peer), mut ranges) in seen {
            ranges.sort_unstable();
            for pair in ranges.windows(2) {
                let [(_, end, one), (start, _, other)] = pair else { continue };
                if start < end {
                    self.verdict(format!("entries {one} and {other} hold the same operations of {peer} in {document}"));
                }
            }
        }
    }
}

/// The operations an entry holds: peer, first counter, end.
fn operations(ring: &KeyRing, envelope: &Envelope) -> Vec<(u64, i32, i32)> {
    let opened = ring.get(envelope.header().epoch).and_then(|key| seal::plaintext(key, envelope).ok());
    let Some(plaintext) = opened.filter(|_| envelope.header().kind.is_sealed()) else { return Vec::new() };
    let Ok((head, body)) = Head::parse(&plaintext) else { return Vec::new() };
    let bytes = match head.compression {
        Compression::None => body.to_vec(),
        Compression::Zstd => zstd::decode_all(body).unwrap_or_default(),
    };
    let Ok(meta) = LoroDoc::decode_import_blob_meta(&bytes, false) else { return Vec::new() };
    let end = meta.partial_end_vv.iter();
    end.map(|(peer, end)| (*peer, meta.partial_start_vv.get(peer).copied().unwrap_or(0), *end)).collect()
}
