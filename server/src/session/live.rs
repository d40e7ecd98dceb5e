//! A device that was let in: what it is sent, and what it may say.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use roost_shared::limits::{LOG_LIVES_MAX, PAGE_TARGET};
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::message::{
    Append, CAPABILITY_PRESENCE, CAPABILITY_SEEN, Hello, Item, Seen, ServerMessage, Welcome,
};
use roost_shared::{Code, Cursor, DeviceId, DocumentId, LogId, WorkspaceId};

use super::event::{Effect, Event};
use crate::access::Admission;
use crate::fanout::Shown;
use crate::log;
use crate::store::{self, Appended, Page, Refusal};

/// When a refused Append may be tried again.
const RETRY_MS: u64 = 1_000;

pub(super) struct Live {
    workspace: WorkspaceId,
    pub(super) device: DeviceId,
    pub(super) log: LogId,
    may_append: bool,
    documents: Option<HashSet<DocumentId>>,
    roster: u64,
    /// How far this device said it has read, while the last it said is being kept: one at a time, the latest waits.
    seeing: Option<Option<Seen>>,
    /// How often anyone told how far it has read; as of the last look, and whether one is under way.
    seen: u64,
    looked: u64,
    looking: bool,
    /// How far the others have read, as far as this device was told.
    told: HashMap<DeviceId, (LogId, u64)>,
    /// What the others show, as far as this device was told: which version of it.
    shown: BTreeMap<DeviceId, u64>,
    cursor: Cursor,
    tail: Cursor,
    /// False when the device's root at its cursor is not ours: it resyncs, and is streamed nothing.
    streaming: bool,
    reading: bool,
    appending: bool,
    /// Entries appended on this very socket and not yet passed: they travel as leaves.
    own: BTreeSet<u64>,
}

impl Live {
    pub(super) fn start(hello: &Hello, admission: Admission) -> (Self, Vec<Effect>) {
        let workspace = admission.workspace;
        let (tail, root) = (workspace.tail(), workspace.frontier.root());
        let mut live = Self {
            workspace: hello.workspace,
            device: hello.device,
            log: workspace.log(),
            may_append: admission.may_append,
            documents: hello.documents.as_ref().map(|documents| documents.iter().copied().collect()),
            roster: workspace.roster.version(),
            seeing: None,
            seen: 0,
            looked: 0,
            looking: false,
            told: HashMap::new(),
            shown: BTreeMap::new(),
            cursor: Cursor(hello.cursor),
            tail,
            streaming: admission.root_at_cursor == Some(hello.root),
            reading: false,
            appending: false,
            own: BTreeSet::new(),
        };
        live.told.extend(admission.seen.iter().map(|seen| (seen.device, (seen.log, seen.size))));
        let logs = workspace.logs.into_iter().rev().take(LOG_LIVES_MAX).rev().collect();
        let mut effects = vec![Effect::Send(ServerMessage::Welcome(Welcome {
            protocol: PROTOCOL,
            logs,
            tail: tail.0,
            root,
            root_at_cursor: admission.root_at_cursor,
            bytes: workspace.bytes,
            quota_bytes: workspace.quota_bytes,
            capabilities: CAPABILITY_PRESENCE | CAPABILITY_SEEN,
            seen: admission.seen,
        }))];
        if live.streaming && live.cursor == tail {
            effects.push(Effect::Send(ServerMessage::Entries { items: vec![Item::Tail { seq: tail.0, root }] }));
        }
        effects.extend(live.read());
        (live, effects)
    }

    pub(super) fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
        match event {
            Event::Appended { id, outcome } => vec![Effect::Send(self.appended(id, outcome))],
            Event::Page(Ok(page)) => self.page(page),
            Event::Woken(wake) => {
                self.tail = self.tail.max(wake.tail);
                let mut effects = Vec::from_iter(self.read());
                self.seen = self.seen.max(wake.seen);
                effects.extend(self.look());
                if wake.roster > self.roster {
                    self.roster = wake.roster;
                    effects.push(Effect::Check);
                }
                effects
            }
            Event::Shown(all) => self.show(all),
            Event::Saw(_) => self.seeing.take().flatten().map_or_else(Vec::new, |latest| self.see(latest)),
            Event::Seen(seen) => {
                self.looking = false;
                let mut effects = seen.map_or_else(|_| Vec::new(), |all| self.tell(all));
                effects.extend(self.look());
                effects
            }
            // The rest were dealt with before they came here, or need nothing.
            Event::Renewed(_)
            | Event::Checked(_)
            | Event::Message(_)
            | Event::Admitted(_)
            | Event::Unread(_)
            | Event::HelloLate
            | Event::TokenExpired
            | Event::Drain { .. }
            | Event::Page(Err(_)) => Vec::new(),
        }
    }

    /// One at a time, however fast a device talks.
    pub(super) fn see(&mut self, seen: Seen) -> Vec<Effect> {
        if let Some(latest) = &mut self.seeing {
            *latest = Some(seen);
            return Vec::new();
        }
        self.seeing = Some(None);
        vec![Effect::See(seen)]
    }

    fn look(&mut self) -> Option<Effect> {
        if self.looking || self.looked >= self.seen {
            return None;
        }
        (self.looking, self.looked) = (true, self.seen);
        Some(Effect::ReadSeen)
    }

    /// What is news to this device.
    fn tell(&mut self, all: Vec<Seen>) -> Vec<Effect> {
        let news = all.into_iter().filter(|seen| {
            let told = self.told.insert(seen.device, (seen.log, seen.size));
            seen.device != self.device && told != Some((seen.log, seen.size))
        });
        news.map(|seen| Effect::Send(ServerMessage::Seen(seen))).collect()
    }

    /// What changed since this device was told, and who shows nothing more.
    fn show(&mut self, all: Vec<(DeviceId, Shown)>) -> Vec<Effect> {
        let held: HashSet<DeviceId> = all.iter().map(|(device, _)| *device).collect();
        let gone: Vec<_> = self.shown.extract_if(.., |device, _| !held.contains(device)).collect();
        let gone = gone.into_iter().map(|(device, _)| (device, Vec::new()));
        let changed = all.into_iter().filter(|(device, shown)| {
            *device != self.device && self.shown.insert(*device, shown.version) != Some(shown.version)
        });
        let changed = changed.map(|(device, shown)| (device, shown.presence.to_vec()));
        let tell = |(device, presence)| Effect::Send(ServerMessage::Ephemeral { device, presence });
        gone.chain(changed).map(tell).collect()
    }

    pub(super) fn append(&mut self, append: Append) -> Vec<Effect> {
        let id = append.id;
        let refused = |code: Code| {
            let retry_after_ms = if code.is_retryable() { RETRY_MS } else { 0 };
            vec![Effect::Send(ServerMessage::Refused { id, code, retry_after_ms })]
        };
        if self.appending {
            return refused(Code::TooMany);
        }
        match log::parse(append.envelopes) {
            Err(code) => refused(code),
            Ok(envelopes) => {
                self.appending = true;
                let append = store::Append {
                    workspace: self.workspace,
                    device: self.device,
                    may_append: self.may_append,
                    if_tail: append.if_tail.map(Cursor),
                    envelopes,
                };
                vec![Effect::Append { id, append }]
            }
        }
    }

    fn appended(&mut self, id: u64, outcome: Result<Appended, Refusal>) -> ServerMessage {
        self.appending = false;
        match outcome {
            Ok(appended) => {
                let seqs: Vec<u64> = appended.seqs.iter().map(|seq| seq.get()).collect();
                if self.streaming {
                    self.own.extend(seqs.iter().filter(|seq| **seq > self.cursor.0));
                }
                ServerMessage::Appended { id, seqs }
            }
            Err(refusal) => {
                let retry_after_ms = if refusal.code.is_retryable() { RETRY_MS } else { 0 };
                ServerMessage::Refused { id, code: refusal.code, retry_after_ms }
            }
        }
    }

    /// One page at a time, and only when there is something: the store is asked again after the page was sent.
    fn read(&mut self) -> Option<Effect> {
        if !self.streaming || self.reading || self.cursor >= self.tail {
            return None;
        }
        self.reading = true;
        Some(Effect::Read { after: self.cursor, max_bytes: PAGE_TARGET })
    }

    fn page(&mut self, page: Page) -> Vec<Effect> {
        self.reading = false;
        self.tail = self.tail.max(page.tail);
        let mut items = Vec::with_capacity(page.entries.len() + 1);
        for entry in page.entries {
            let seq = entry.seq.get();
            self.cursor = entry.seq.cursor();
            let wanted = self
                .documents
                .as_ref()
                .is_none_or(|wanted| entry.document == DocumentId::ZERO || wanted.contains(&entry.document));
            let own = self.own.remove(&seq);
            items.push(match entry.body {
                Some(bytes) if wanted && !own => Item::Envelope { seq, bytes },
                _ => Item::Leaf { seq, document: entry.document, envelope_hash: entry.envelope_hash },
            });
        }
        if self.cursor == page.tail {
            items.push(Item::Tail { seq: page.tail.0, root: page.root });
        }
        let mut effects = Vec::new();
        if !items.is_empty() {
            effects.push(Effect::Send(ServerMessage::Entries { items }));
        }
        effects.extend(self.read());
        effects
    }
}
