//! What a device's outputs become on the way to the server, and what comes back.

use std::sync::Arc;

use roost::join::Joiner;
use roost::keys::link::Invite;
use roost::replica::Output;
use roost::sync::{Event, Notice};
use roost_server::store::{ChangeLog, Store as _};
use roost_shared::roster::Record;
use roost_shared::wire::http::{AskSession, Base64, CreateWorkspace, ProposeLog};
use roost_shared::wire::message::ClientMessage;
use roost_shared::{Code, Cursor};

use super::plant::Plant;
use super::server::Conversation;
use super::world::{Happening, SERVER, World, wait};

/// A request without a socket.
pub enum Request {
    Carry { records: Vec<Record>, create: CreateWorkspace },
    Rejoin(Invite),
    Post(Record),
    ProposeLog(ProposeLog),
}

impl Request {
    /// What the device makes of silence.
    const fn unanswered(&self) -> Event {
        match self {
            Self::Carry { .. } | Self::Rejoin(_) => Event::Carried(Err(Code::RetryLater)),
            Self::Post(_) => Event::Posted(Err(Code::RetryLater)),
            Self::ProposeLog(_) => Event::LogGranted(Err(Code::RetryLater)),
        }
    }
}

impl World {
    /// How long a message takes.
    pub fn latency(&mut self) -> u64 {
        if self.random.one_in(20) { self.random.between(200, 3_000) } else { self.random.between(1, 80) }
    }

    /// Hands an event to a device and carries out what follows.
    pub fn event(&mut self, device: usize, event: Event) {
        self.drive(device, |replica| replica.handle(event));
    }

    pub fn work(&mut self, device: usize) {
        self.drive(device, roost::replica::Replica::work);
    }

    pub fn drive(
        &mut self,
        device: usize,
        work: impl FnOnce(&mut roost::replica::Replica) -> Result<Vec<Output>, roost::store::StoreError>,
    ) {
        let Some(replica) = self.devices[device].replica() else { return };
        let outputs = match work(replica) {
            Ok(outputs) => outputs,
            Err(error) => return self.verdict(format!("device {device}'s store failed: {error}")),
        };
        let notices = replica.take_notices();
        let (has_work, wake_at) = (replica.has_work(), replica.wake_at_ms());
        let cursor = replica.view().cursor;
        for notice in notices {
            self.notice(device, cursor, &notice);
        }
        let life = self.lives[device];
        for output in outputs {
            self.output(device, output);
        }
        if has_work {
            // A busy device leaves its work lying: room for crashes between any two pieces.
            let one_in = if self.plant == Some(Plant::CursorAheadOfBytes) { 2 } else { 8 };
            let is_busy = !self.is_healing && self.random.one_in(one_in);
            let delay = if is_busy { self.random.between(50, 4_000) } else { self.random.between(0, 5) };
            self.after(delay, Happening::Work { device, life });
        }
        if let Some(at) = wake_at {
            let at = at.max(self.now() + 1);
            self.at(at, Happening::Tick { device, life });
        }
    }

    fn notice(&mut self, device: usize, cursor: Cursor, notice: &Notice) {
        self.note(|| format!("device {device} at {cursor}: {notice:?}"));
        let is_suspicion = matches!(
            notice,
            Notice::Diverged { .. }
                | Notice::Contradicted { .. }
                | Notice::Quarantined { .. }
                | Notice::BaseMismatch { .. }
        );
        if is_suspicion && self.lie.is_some_and(|lie| lie.to == Some(device)) {
            return; // it is right
        }
        match notice {
            Notice::Diverged { what } => self.verdict(format!("device {device} accuses an honest server: {what}")),
            // It lost history: two logs, until one who knows the other is back.
            Notice::Contradicted { .. } if self.was_restored => {}
            Notice::Contradicted { device: other, size } => {
                self.verdict(format!("device {device} says that {other} read another log of {size} entries"));
            }
            Notice::Quarantined { seq, reason } => {
                self.verdict(format!("device {device} put entry {seq} aside: {reason}"));
            }
            Notice::BaseMismatch { seq, .. } => {
                self.verdict(format!("device {device} finds a wrong base in entry {seq}"));
            }
            Notice::RosterChanged { .. } if device == 0 => self.owner_sees_roster(),
            Notice::NotMigrated { version, code, .. } if *code != "step_panicked" => {
                self.verdict(format!("device {device} does not migrate to {version}: {code}"));
            }
            Notice::NotMigrated { .. } => self.reached.died_in_step += 1,
            Notice::Late { .. } => self.reached.late += 1,
            Notice::Behind { .. } => self.reached.behind += 1,
            Notice::RosterFork => self.reached.forks += 1,
            Notice::Refused { code: Code::QuotaExceeded } => self.reached.held += 1,
            Notice::LogReplaced { .. } => self.reached.replaced += 1,
            Notice::Offline { code: Some(Code::TokenExpired) } => self.reached.expired += 1,
            _ => {}
        }
    }

    fn output(&mut self, device: usize, output: Output) {
        match output {
            Output::Connect => {
                self.devices[device].socket += 1;
                let socket = self.devices[device].socket;
                let delay = self.latency();
                self.after(delay, Happening::Connect { device, socket });
            }
            Output::Disconnect => self.drop_socket(device),
            Output::Hello(mut hello) => {
                let token = self.transports[device].token.clone().map(|(token, _)| token);
                hello.token = roost_shared::wire::message::Token(token.unwrap_or_default());
                self.send(device, ClientMessage::Hello(*hello));
            }
            Output::Send(message) => {
                let message = self.outgoing(device, message);
                self.send(device, message);
            }
            Output::ProposeLog(propose) => self.ask(device, || Request::ProposeLog(propose.clone())),
            Output::Carry { records, create } => {
                self.ask(device, || Request::Carry { records: records.clone(), create: create.clone() });
            }
            Output::Rejoin(invite) => self.ask(device, || Request::Rejoin(invite.clone())),
            Output::Post(record) => self.ask(device, || Request::Post(record.clone())),
        }
    }

    /// The device gives its socket up; the server learns of it later.
    pub fn drop_socket(&mut self, device: usize) {
        let socket = self.devices[device].socket;
        self.devices[device].socket += 1;
        let found = self.conversations.iter().find(|(_, held)| held.device == device && held.socket == socket);
        if let Some(conversation) = found.map(|(number, _)| *number) {
            let delay = self.latency();
            self.after(delay, Happening::Gone { conversation });
        }
    }

    pub fn send(&mut self, device: usize, message: ClientMessage) {
        let socket = self.devices[device].socket;
        let is_connected = self.devices[device].is_connected;
        let delay = self.latency();
        let now = self.now();
        let found = self.conversations.iter_mut().find(|(_, held)| held.device == device && held.socket == socket);
        let Some((number, conversation)) = found.filter(|_| is_connected) else { return };
        let number = *number;
        conversation.to_server_at = conversation.to_server_at.max(now + delay);
        let at = conversation.to_server_at;
        self.at(at, Happening::ToServer { conversation: number, bytes: message.encode() });
    }

    /// A request may be lost, and may arrive twice.
    fn ask(&mut self, device: usize, request: impl Fn() -> Request) {
        let life = self.lives[device];
        let chaos = !self.is_healing;
        let copies = if chaos && self.random.one_in(8) { 2 } else { 1 };
        let lost = chaos && self.random.one_in(8) || !self.devices[device].is_connected;
        if lost {
            let delay = self.random.between(500, 10_000);
            let event = request().unanswered();
            return self.after(delay, Happening::Answer { device, life, event: Box::new(event) });
        }
        for _ in 0..copies {
            let delay = self.latency();
            self.after(delay, Happening::Request { device, life, request: Box::new(request()) });
        }
    }

    pub fn request(&mut self, device: usize, life: u64, request: Request) {
        let now_ms = self.now();
        let down = !self.server_is_up;
        let unanswered = request.unanswered();
        let event = match request {
            _ if down => request.unanswered(),
            Request::Carry { records, create } => Event::Carried(self.carry(records, &create)),
            Request::Rejoin(invite) => Event::Carried(self.rejoin(device, &invite)),
            Request::Post(record) => Event::Posted(self.post(record).map_err(|refusal| refusal.code)),
            Request::ProposeLog(propose) => {
                let change = ChangeLog {
                    workspace: self.workspace,
                    old: propose.old,
                    proposed: propose.proposed,
                    cursor: Cursor(propose.cursor),
                    root: propose.root,
                    now_ms,
                };
                let granted = wait(self.store.change_log(change));
                if granted.is_ok() {
                    self.wake_all();
                }
                Event::LogGranted(granted.map_err(|refusal| refusal.code))
            }
        };
        self.note(|| format!("device {device} is answered {event:?}"));
        let mut delay = self.latency();
        let mut event = event;
        if !self.is_healing && self.random.one_in(8) {
            // The answer is lost: the request ends in a timeout.
            (event, delay) = (unanswered, 10_000);
        }
        self.after(delay, Happening::Answer { device, life, event: Box::new(event) });
    }

    fn rejoin(&mut self, device: usize, invite: &Invite) -> Result<bool, Code> {
        let (keys, clock) = (self.devices[device].keys.clone(), Arc::clone(&self.devices[device].clock));
        let joiner = Joiner { invite, device: &keys, name: "again" };
        match self.take_place(&joiner, &*clock) {
            Ok(chain) => {
                self.reached.rejoins += u64::from(chain.is_some());
                Ok(chain.is_some())
            }
            Err(Code::LinkUnavailable) => Ok(false),
            Err(code) => Err(code),
        }
    }

    fn carry(&mut self, records: Vec<Record>, create: &CreateWorkspace) -> Result<bool, Code> {
        let mut took = false;
        for record in records {
            match self.post(record).map_err(|refusal| refusal.code) {
                Ok(()) => took = true,
                Err(Code::RosterMoved | Code::RosterInvalid) => {}
                Err(Code::NotFound) => {
                    let parse = |record: &Base64| Record::parse(record.0.clone()).map_err(|_| Code::RosterInvalid);
                    let chain = create.chain.iter().map(parse).collect::<Result<_, _>>()?;
                    let created = wait(self.store.create(self.workspace, create.log, chain));
                    return match created.map_err(|refusal| refusal.code) {
                        Ok(_) | Err(Code::WorkspaceExists) => Ok(true),
                        Err(code) => Err(code),
                    };
                }
                Err(code) => return Err(code),
            }
        }
        Ok(took)
    }

    /// A token, then the socket.
    pub fn connect(&mut self, device: usize, socket: u64) {
        if self.devices[device].socket != socket {
            return;
        }
        let delay = self.latency();
        if !self.server_is_up || !self.devices[device].is_connected {
            return self.after(delay, Happening::NotOpened { device, socket, code: None });
        }
        match self.token(device) {
            Ok(token) => {
                self.transports[device].token = Some(token);
                self.conversation_count += 1;
                let conversation = self.conversation_count;
                let now = self.now();
                self.conversations.insert(conversation, Conversation::new(device, socket, now));
                self.after(delay, Happening::Opened { device, socket, conversation });
            }
            Err(code) => self.after(delay, Happening::NotOpened { device, socket, code: Some(code) }),
        }
    }

    /// The one it has while that is good, and now and then when it no longer is: clocks are wrong.
    fn token(&mut self, device: usize) -> Result<(String, u64), Code> {
        let (now_ms, mut random) = (self.now(), [0; 16]);
        let is_careless = !self.is_healing && self.random.one_in(4);
        let held = self.transports[device].token.clone();
        if let Some(held) = held.filter(|(_, expires_at_ms)| is_careless || *expires_at_ms > now_ms + 1_000) {
            return Ok(held);
        }
        self.random.fill(&mut random);
        let nonce = self.access.nonce(now_ms, random);
        let keys = &self.devices[device].keys;
        let challenge = roost_shared::proof::Challenge {
            nonce: &nonce,
            audience: SERVER,
            workspace: self.workspace,
            device: keys.device_id(),
        };
        let ask = AskSession {
            workspace: self.workspace,
            device: keys.device_id(),
            signature: Some(Base64(keys.sign(&challenge.session()).to_vec())),
            nonce: Some(Base64(nonce)),
            owner_signature: None,
        };
        wait(self.access.session(&*self.shared, &ask, now_ms, random)).map(|token| (token.token, token.expires_at_ms))
    }

    pub fn opened(&mut self, device: usize, socket: u64, conversation: u64) {
        if self.devices[device].socket != socket || !self.conversations.contains_key(&conversation) {
            return;
        }
        self.event(device, Event::Opened);
        self.greet(conversation);
    }

    pub fn not_opened(&mut self, device: usize, socket: u64, code: Option<Code>) {
        if self.devices[device].socket == socket {
            self.devices[device].socket += 1;
            self.event(device, Event::Closed { code, retry_after_ms: 0 });
        }
    }

    pub fn deliver(&mut self, device: usize, socket: u64, bytes: Vec<u8>) {
        if self.devices[device].socket != socket {
            return;
        }
        let Some(bytes) = self.incoming(device, bytes) else { return };
        self.drive(device, |replica| replica.message(&bytes));
    }
}
