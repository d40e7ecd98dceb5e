//! What a device's outputs become on the way to the server, and what comes back.

use std::collections::VecDeque;
use std::sync::Arc;

use roost::driver::courier::{Answer, Ask, Follows, Job};
use roost::keys::link::Invite;
use roost::members::join::Joiner;
use roost::members::republish::{Next, Republish};
use roost::sync::{Event, Notice};
use roost_server::fanout::News;
use roost_server::store::{ChangeLog, Refusal, Store as _};
use roost_shared::roster::Record;
use roost_shared::wire::http::{AskSession, Base64, TokenIs};
use roost_shared::{Code, Cursor};

use super::plant::Plant;
use super::server::Conversation;
use super::world::{Happening, SERVER, World, wait};

/// The answer that a device assumes after silence.
const fn unanswered(ask: &Ask) -> Answer {
    match ask {
        Ask::Renew => Answer::Renewed(Err(None)),
        Ask::Room(_) => Answer::Room(Err(None)),
        Ask::Republish(_) | Ask::Rejoin(_) => Answer::Republished(Err(Code::RetryLater)),
        Ask::Post(_) => Answer::Posted(Err(None)),
        Ask::ProposeLog(..) => Answer::LogGranted(Err(None)),
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
        work: impl FnOnce(&mut roost::replica::Replica) -> Result<(), roost::store::StoreError>,
    ) {
        let Some(replica) = self.devices[device].replica() else { return };
        if let Err(error) = work(replica) {
            return self.verdict(format!("device {device}'s store failed: {error}"));
        }
        // The driver carries outputs out once no work is left; until then they wait in the replica.
        let is_stopped = replica.has_work();
        let mut outputs = if is_stopped { VecDeque::new() } else { replica.take_outputs() };
        if self.plant == Some(Plant::OutputDropped) && is_stopped {
            outputs.clear();
            drop(replica.take_outputs());
        }
        let notices = replica.take_notices();
        let (has_work, wake_at) = (replica.has_work(), replica.wake_at_ms());
        let cursor = replica.view().cursor;
        for notice in notices {
            self.notice(device, cursor, &notice);
        }
        let life = self.lives[device];
        for output in outputs {
            let clock = Arc::clone(&self.devices[device].clock);
            let job = self.transports[device].courier.job(&*clock, output);
            self.do_job(device, job);
        }
        let wake_at = wake_at.into_iter().chain(self.transports[device].courier.wake_at_ms()).min();
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

    fn do_job(&mut self, device: usize, job: Job) {
        match job {
            Job::Connect(token) => {
                self.devices[device].socket += 1;
                let socket = self.devices[device].socket;
                let delay = self.latency();
                self.after(delay, Happening::Connect { device, socket, token });
            }
            Job::Disconnect => self.drop_socket(device),
            Job::Send(message) | Job::Show(message) => {
                let message = self.outgoing(device, message);
                self.send(device, message);
            }
            Job::Ask(ask) => self.ask(device, &ask),
        }
    }

    /// The device's timer: the machine's, and that of its token.
    pub fn tick(&mut self, device: usize) {
        let now_ms = self.now();
        if let Some(job) = self.transports[device].courier.tick(now_ms) {
            self.do_job(device, job);
        }
        self.event(device, Event::Tick);
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

    pub fn send(&mut self, device: usize, message: Vec<u8>) {
        let socket = self.devices[device].socket;
        let is_connected = self.devices[device].is_connected;
        let delay = self.latency();
        let now = self.now();
        let found = self.conversations.iter_mut().find(|(_, held)| held.device == device && held.socket == socket);
        let Some((number, conversation)) = found.filter(|_| is_connected) else { return };
        let number = *number;
        conversation.to_server_at = conversation.to_server_at.max(now + delay);
        let at = conversation.to_server_at;
        self.at(at, Happening::ToServer { conversation: number, bytes: message });
    }

    /// A request may be lost, and may arrive twice.
    fn ask(&mut self, device: usize, ask: &Ask) {
        let life = self.lives[device];
        let chaos = !self.is_healing;
        let copies = if chaos && self.random.one_in(8) { 2 } else { 1 };
        let lost = chaos && self.random.one_in(8) || !self.devices[device].is_connected;
        if lost {
            let delay = self.random.between(500, 10_000);
            return self.after(delay, Happening::Answer { device, life, answer: Box::new(unanswered(ask)) });
        }
        for _ in 0..copies {
            let delay = self.latency();
            self.after(delay, Happening::Request { device, life, ask: Box::new(ask.clone()) });
        }
    }

    pub fn request(&mut self, device: usize, life: u64, ask: Ask) {
        let now_ms = self.now();
        let silence = unanswered(&ask);
        let code = |refusal: Refusal| Some(refusal.code);
        let answer = match ask {
            ask if !self.server_is_up => unanswered(&ask),
            Ask::Renew => Answer::Renewed(self.new_token(device).map_err(Some)),
            Ask::Room(_) => Answer::Room(Err(None)), // nobody here looks at how full it is
            Ask::Republish(republish) => Answer::Republished(self.republish(republish)),
            Ask::Rejoin(invite) => Answer::Republished(self.rejoin(device, &invite)),
            Ask::Post(record) => Answer::Posted(self.post(record).map_err(code)),
            Ask::ProposeLog(_, propose) => {
                let change = ChangeLog {
                    workspace: self.workspace,
                    old: propose.old,
                    proposed: propose.proposed,
                    cursor: Cursor(propose.cursor),
                    root: propose.root,
                    now_ms,
                };
                let granted = wait(self.store.change_log(change));
                if let Ok(log) = granted {
                    self.wake(News::Log(log));
                }
                Answer::LogGranted(granted.map_err(code))
            }
        };
        let (mut answer, mut delay) = (answer, self.latency());
        if !self.is_healing && self.random.one_in(8) {
            // The answer is lost: the request ends in a timeout.
            (answer, delay) = (silence, 10_000);
        }
        self.after(delay, Happening::Answer { device, life, answer: Box::new(answer) });
    }

    pub fn answered(&mut self, device: usize, answer: Answer) {
        let clock = Arc::clone(&self.devices[device].clock);
        match self.transports[device].courier.answered(&*clock, answer) {
            Follows::Event(event) => {
                self.note(|| format!("device {device} is answered {event:?}"));
                self.event(device, event);
            }
            Follows::Job(job) => self.do_job(device, job),
            Follows::Room(_) | Follows::Nothing => {}
        }
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

    fn republish(&mut self, mut republish: Republish) -> Result<bool, Code> {
        loop {
            let answer = match republish.next() {
                Next::Post(record) => self.post(record.clone()),
                Next::Create(create) => {
                    let parse = |record: &Base64| Record::parse(record.0.clone()).map_err(|_| Code::RosterInvalid);
                    let chain = create.chain.iter().map(parse).collect::<Result<_, _>>()?;
                    wait(self.store.create(self.workspace, create.log, chain)).map(|_| ())
                }
                Next::Over(over) => return over,
            };
            republish.answered(answer.map_err(|refusal| Some(refusal.code)));
        }
    }

    /// A token, if the device has none, then the socket.
    pub fn connect(&mut self, device: usize, socket: u64, token: Option<TokenIs>) {
        if self.devices[device].socket != socket {
            return;
        }
        let delay = self.latency();
        if !self.server_is_up || !self.devices[device].is_connected {
            return self.after(delay, Happening::NotOpened { device, socket, code: None });
        }
        // Now and then one that ran out: clocks are wrong.
        let is_careless = !self.is_healing && self.random.one_in(4);
        let kept = self.transports[device].token.clone().filter(|_| is_careless);
        match kept.or(token).map_or_else(|| self.new_token(device), Ok) {
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

    fn new_token(&mut self, device: usize) -> Result<TokenIs, Code> {
        let (now_ms, mut random) = (self.now(), [0; 16]);
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
        wait(self.access.session(&*self.shared, &ask, now_ms, random))
    }

    pub fn opened(&mut self, device: usize, socket: u64, conversation: u64) {
        if self.devices[device].socket != socket || !self.conversations.contains_key(&conversation) {
            return;
        }
        if let Some(token) = self.transports[device].token.clone() {
            self.answered(device, Answer::Connected(Ok(token)));
        }
        self.greet(conversation);
    }

    pub fn not_opened(&mut self, device: usize, socket: u64, code: Option<Code>) {
        if self.devices[device].socket == socket {
            self.devices[device].socket += 1;
            let closed = self.transports[device].courier.closed(code, 0);
            self.event(device, closed);
        }
    }

    pub fn deliver(&mut self, device: usize, socket: u64, bytes: Vec<u8>) {
        if self.devices[device].socket != socket {
            return;
        }
        let Some(bytes) = self.incoming(device, bytes) else { return };
        self.transports[device].courier.heard(&bytes);
        self.drive(device, |replica| replica.message(&bytes));
    }
}
