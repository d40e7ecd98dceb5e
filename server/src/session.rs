//! One device's conversation: a message or an answer in, messages and questions out. No socket, no clock, no spawn;
//! `crate::socket` carries out what it asks for, and so does the simulator.

use std::collections::{BTreeSet, HashMap, HashSet};

use roost_shared::limits::{LOG_LIVES_MAX, PAGE_TARGET};
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::codec::CodecError;
use roost_shared::wire::error::Close;
use roost_shared::wire::message::{Append, CAPABILITY_SEEN, ClientMessage, Hello, Item, Seen, ServerMessage, Welcome};
use roost_shared::{Code, Cursor, DeviceId, DocumentId, LogId, WorkspaceId};

use crate::access::Admission;
use crate::fanout::Wake;
use crate::log;
use crate::store::{self, Appended, Page, Refusal};

/// When a refused Append may be tried again.
const RETRY_MS: u64 = 1_000;

/// What happened.
pub enum Event<'a> {
    /// The device said something.
    Message(&'a [u8]),
    /// The answer to [`Effect::Admit`].
    Admitted(Result<Box<Admission>, Code>),
    /// The answer to [`Effect::Append`].
    Appended {
        /// The Append's id.
        id: u64,
        /// What became of it.
        outcome: Result<Appended, Refusal>,
    },
    /// The answer to [`Effect::Read`].
    Page(Result<Page, Refusal>),
    /// The workspace changed.
    Woken(Wake),
    /// The answer to [`Effect::See`].
    Saw(Result<(), Code>),
    /// The answer to [`Effect::ReadSeen`].
    Seen(Result<Vec<Seen>, Refusal>),
    /// The answer to [`Effect::Check`]: whether the device is still in.
    Checked(bool),
    /// The answer to [`Effect::Renew`]: when the new token runs out.
    Renewed(Result<u64, Code>),
    /// No Hello came in time.
    HelloLate,
    /// The token ran out.
    TokenExpired,
    /// The server is stopping.
    Drain {
        /// When to come back.
        retry_after_ms: u64,
    },
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Say this.
    Send(ServerMessage),
    /// Subscribe to wake-ups, check the Hello, look the workspace up.
    Admit(Box<Hello>),
    /// Append, detached from this socket: it goes on if the socket goes.
    Append {
        /// The Append's id.
        id: u64,
        /// What.
        append: store::Append,
    },
    /// Read one page.
    Read {
        /// From after here.
        after: Cursor,
        /// About this much.
        max_bytes: usize,
    },
    /// Keep how far this device has read, if it signed that.
    See(Seen),
    /// Read how far the devices have read.
    ReadSeen,
    /// Look whether the device is still in the roster.
    Check,
    /// Check a fresh token for the same device.
    Renew(String),
    /// Close; nothing follows.
    Close(Close),
}

/// The conversation's state.
pub struct Session {
    state: State,
}

enum State {
    Greeting,
    Admitting(Box<Hello>),
    Live(Box<Live>),
    Closed,
}

struct Live {
    workspace: WorkspaceId,
    device: DeviceId,
    log: LogId,
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
    cursor: Cursor,
    tail: Cursor,
    /// False when the device's root at its cursor is not ours: it resyncs, and is streamed nothing.
    streaming: bool,
    reading: bool,
    appending: bool,
    /// Entries appended on this very socket and not yet passed: they travel as leaves.
    own: BTreeSet<u64>,
}

impl Session {
    /// Begins with the challenge.
    pub fn open(nonce: [u8; 32]) -> (Self, Effect) {
        (Self { state: State::Greeting }, Effect::Send(ServerMessage::Challenge { nonce }))
    }

    /// One step.
    pub fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
        match (&mut self.state, event) {
            (State::Closed, _) => Vec::new(),
            (_, Event::Drain { retry_after_ms }) => {
                self.state = State::Closed;
                vec![Effect::Send(ServerMessage::Drain { retry_after_ms }), Effect::Close(Close::Drain)]
            }
            (_, Event::TokenExpired) => self.fail(Code::TokenExpired, "the token ran out: connect with a new one"),
            (State::Greeting, Event::HelloLate) => self.fail(Code::BadMessage, "no Hello within five seconds"),
            (State::Admitting(_), Event::HelloLate) => self.fail(Code::RetryLater, "the server is slow: try again"),
            (_, Event::Message(bytes)) => match ClientMessage::decode(bytes) {
                Ok(message) => self.message(message),
                Err(CodecError::Skipped(_)) => Vec::new(),
                Err(error) => self.fail(code_of(error), &error.to_string()),
            },
            (State::Admitting(hello), Event::Admitted(Ok(admission))) => {
                let (live, effects) = Live::start(hello, *admission);
                self.state = State::Live(Box::new(live));
                effects
            }
            (State::Admitting(_), Event::Admitted(Err(code))) => self.fail(code, advice(code)),
            (State::Live(_), Event::Checked(false)) => {
                self.fail(Code::NotAllowed, "this device is no longer in the workspace")
            }
            (State::Live(_), Event::Page(Err(refusal))) => self.fail(refusal.code, "the log cannot be read now"),
            (State::Live(_), Event::Renewed(Err(code))) => self.fail(code, advice(code)),
            (State::Live(_), Event::Saw(Err(code))) if !code.is_retryable() => self.fail(code, advice(code)),
            (State::Live(live), Event::Woken(wake)) if wake.log.is_some_and(|log| log != live.log) => {
                self.fail(Code::LogChanged, "the log has a new id: connect again and resync")
            }
            (State::Live(live), event) => live.handle(event),
            (State::Greeting | State::Admitting(_), _) => Vec::new(),
        }
    }

    fn message(&mut self, message: ClientMessage) -> Vec<Effect> {
        match (&mut self.state, message) {
            (State::Greeting, ClientMessage::Hello(hello)) => {
                let hello = Box::new(hello);
                self.state = State::Admitting(hello.clone());
                vec![Effect::Admit(hello)]
            }
            (State::Live(live), ClientMessage::Append(append)) => live.append(append),
            (State::Live(_), ClientMessage::Renew { token }) => vec![Effect::Renew(token.0)],
            (State::Live(live), ClientMessage::Seen(seen)) if seen.device == live.device => live.see(seen),
            (State::Live(_), ClientMessage::Seen(_)) => self.fail(Code::BadMessage, "a Seen of another device"),
            // Presence is not served yet (Welcome.capabilities says so); a device that sends it is not wrong.
            (State::Live(_), ClientMessage::Ephemeral { .. }) => Vec::new(),
            (State::Live(_), ClientMessage::Hello(_)) => self.fail(Code::BadMessage, "a second Hello"),
            (State::Greeting | State::Admitting(_), _) => self.fail(Code::BadMessage, "Hello comes first"),
            (State::Closed, _) => Vec::new(),
        }
    }

    fn fail(&mut self, code: Code, message: &str) -> Vec<Effect> {
        self.state = State::Closed;
        let message = message.to_owned();
        vec![Effect::Send(ServerMessage::Error { code, message }), Effect::Close(close_of(code))]
    }
}

impl Live {
    fn start(hello: &Hello, admission: Admission) -> (Self, Vec<Effect>) {
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
            capabilities: CAPABILITY_SEEN,
            seen: admission.seen,
        }))];
        if live.streaming && live.cursor == tail {
            effects.push(Effect::Send(ServerMessage::Entries { items: vec![Item::Tail { seq: tail.0, root }] }));
        }
        effects.extend(live.read());
        (live, effects)
    }

    fn handle(&mut self, event: Event<'_>) -> Vec<Effect> {
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
            | Event::HelloLate
            | Event::TokenExpired
            | Event::Drain { .. }
            | Event::Page(Err(_)) => Vec::new(),
        }
    }

    /// One at a time, however fast a device talks.
    fn see(&mut self, seen: Seen) -> Vec<Effect> {
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

    fn append(&mut self, append: Append) -> Vec<Effect> {
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

const fn code_of(error: CodecError) -> Code {
    match error {
        CodecError::TooLarge { .. } => Code::TooLarge,
        CodecError::Empty | CodecError::UnknownType(_) | CodecError::Skipped(_) | CodecError::Field(_) => {
            Code::BadMessage
        }
    }
}

fn close_of(code: Code) -> Close {
    match code {
        Code::TokenInvalid | Code::TokenExpired | Code::ProofInvalid => Close::Token,
        Code::NotAllowed | Code::NotFound | Code::WorkspaceGone => Close::NotAllowed,
        Code::LogChanged => Close::LogChanged,
        Code::TooMany => Close::TooMany,
        code if code.is_retryable() => Close::SlowReader,
        _ => Close::Protocol,
    }
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::ProtocolVersion => "this server speaks protocol 1: update the app or the server",
        Code::TokenExpired => "the token ran out: ask for a new one",
        Code::TokenInvalid => "the token is not one of this server: ask for a new one",
        Code::ProofInvalid => "the proof is not the device's signature over this nonce and this server's name",
        Code::NotAllowed => "this device is not active in the workspace, or the token is not for it",
        Code::NotFound => "there is no such workspace here",
        Code::TooMany => "this device has too many sockets open",
        Code::WrongWorkspace => "Hello names another workspace than the address",
        _ => "try again later",
    }
}
