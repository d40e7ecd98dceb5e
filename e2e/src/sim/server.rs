//! The server's side: the real session, with the store's answers a little later.

use roost_server::fanout::News;
use roost_server::fanout::board::Listener;
use roost_server::session::{Effect, Event, Session};
use roost_server::store::Store as _;
use roost_shared::DeviceId;
use roost_shared::roster::Status;
use roost_shared::wire::message::ServerMessage;

use super::plant::Plant;
use super::world::{Happening, World, wait};

/// Clocks differ by less: a token lives this long beyond its end, and the rounding of its times.
const TOKEN_LEEWAY_MS: u64 = 6_000;

/// One socket as the server has it.
pub struct Conversation {
    pub device: usize,
    pub socket: u64,
    session: Session,
    nonce: [u8; 32],
    who: Option<DeviceId>,
    listener: Option<Listener>,
    is_woken: bool,
    /// Bytes keep their order.
    pub to_server_at: u64,
    to_device_at: u64,
}

impl Conversation {
    pub fn new(device: usize, socket: u64, now: u64) -> Self {
        let (session, _) = Session::open([0; 32]);
        Self {
            device,
            socket,
            session,
            nonce: [0; 32],
            who: None,
            listener: None,
            is_woken: false,
            to_server_at: now,
            to_device_at: now,
        }
    }
}

impl World {
    pub fn greet(&mut self, conversation: u64) {
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        let Some(held) = self.conversations.get_mut(&conversation) else { return };
        let (session, challenge) = Session::open(nonce);
        held.session = session;
        held.nonce = nonce;
        self.carry_out(conversation, vec![challenge]);
    }

    pub fn receive(&mut self, conversation: u64, bytes: &[u8]) {
        self.handle(conversation, Event::Message(bytes));
    }

    fn handle(&mut self, conversation: u64, event: Event<'_>) {
        let Some(held) = self.conversations.get_mut(&conversation) else { return };
        let effects = held.session.handle(event);
        self.carry_out(conversation, effects);
    }

    fn carry_out(&mut self, conversation: u64, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.say(conversation, &message),
                Effect::Close(_) => {
                    let Some(held) = self.ended(conversation) else { return };
                    let delay = self.latency();
                    let at = held.to_device_at.max(self.now() + delay);
                    self.at(at, Happening::Closed { device: held.device, socket: held.socket });
                }
                effect => {
                    if let Effect::Admit(hello) = &effect
                        && let Some(held) = self.conversations.get_mut(&conversation)
                    {
                        held.who = Some(hello.device);
                        if self.plant != Some(Plant::LookBeforeSubscribe) {
                            self.subscribe(conversation); // before the look, as the server does it
                        }
                    }
                    let delay = self.random.between(0, 20);
                    self.after(delay, Happening::Perform { conversation, effect: Box::new(effect) });
                }
            }
        }
    }

    fn say(&mut self, conversation: u64, message: &ServerMessage) {
        let delay = self.latency();
        let now = self.now();
        let Some(held) = self.conversations.get_mut(&conversation) else { return };
        held.to_device_at = held.to_device_at.max(now + delay);
        let (at, device, socket, who) = (held.to_device_at, held.device, held.socket, held.who);
        if let (ServerMessage::Entries { .. }, Some(who)) = (message, who) {
            self.judge_reader(who);
        }
        if self.devices[device].is_connected {
            let message = self.lied(device, message);
            self.at(at, Happening::ToDevice { device, socket, bytes: message.encode() });
        }
    }

    /// The store does it now; the answer is on its way, and the socket may be gone by then.
    pub fn perform(&mut self, conversation: u64, effect: Effect) {
        let now_ms = self.now();
        let event = match effect {
            Effect::Append { id, append } => {
                // Detached: it goes on if the socket goes.
                let outcome = wait(self.store.append(append));
                let device = self.conversations.get(&conversation).map(|held| held.device);
                self.note(|| format!("append of device {device:?}: {outcome:?}"));
                if let Ok(appended) = &outcome {
                    self.wake(News::Appended(appended.tail));
                }
                if !self.is_healing && self.random.one_in(10) {
                    return self.reset(conversation); // after the commit, before the reply
                }
                Event::Appended { id, outcome }
            }
            Effect::Admit(hello) => {
                let Some(held) = self.conversations.get(&conversation) else { return };
                let nonce = held.nonce;
                let ends_ms = self.transports[held.device].token.as_ref().map_or(0, |token| token.expires_at_ms);
                let never_ends = self.plant == Some(Plant::TokensNeverEnd);
                let clock_ms = if never_ends { now_ms.min(ends_ms) } else { now_ms };
                let admitted = wait(self.access.admit(&self.shared, &hello, &nonce, clock_ms));
                if admitted.is_ok() && ends_ms + TOKEN_LEEWAY_MS < now_ms {
                    self.verdict("a token that ran out was let in".to_owned());
                }
                if let (Ok(admission), false) = (&admitted, never_ends) {
                    self.at(admission.expires_at_ms.max(now_ms), Happening::TokenEnds { conversation });
                }
                Event::Admitted(admitted.map(Box::new))
            }
            Effect::Read { after, max_bytes } => {
                // Small pages, so that there are many.
                let max_bytes = max_bytes.min(4 * 1024);
                Event::Page(wait(self.store.read(self.workspace, after, max_bytes)))
            }
            Effect::See(seen) => {
                let witnessed = wait(self.access.witness(&self.shared, self.workspace, seen, now_ms));
                let saw = witnessed.and_then(|seen| {
                    let is_news = wait(self.store.see(self.workspace, seen)).map_err(|refusal| refusal.code)?;
                    if is_news {
                        self.wake(News::Seen);
                    }
                    Ok(())
                });
                Event::Saw(saw)
            }
            Effect::Show(presence) => {
                let Some(listener) = self.conversations.get(&conversation).and_then(|held| held.listener) else {
                    return;
                };
                if self.board.show(listener, &presence, now_ms) {
                    self.ring();
                }
                return;
            }
            Effect::ReadSeen => Event::Seen(wait(self.store.seen(self.workspace))),
            Effect::Check => {
                let Some(device) = self.conversations.get(&conversation).and_then(|held| held.who) else { return };
                let found = wait(self.store.device(self.workspace, device)).ok().flatten();
                let is_in = found.is_some_and(|device| device.status == Status::Active);
                Event::Checked(is_in || self.plant == Some(Plant::RevokedStaysIn))
            }
            Effect::Renew(_) | Effect::Send(_) | Effect::Close(_) => return,
        };
        // A wake is lost only where something is written meanwhile: the planted server is slow, too.
        let slowest = if self.plant == Some(Plant::LookBeforeSubscribe) { 3_000 } else { 20 };
        let delay = self.random.between(0, slowest);
        self.after(delay, Happening::Answered { conversation, event: Box::new(event) });
    }

    pub fn token_ends(&mut self, conversation: u64) {
        if !self.is_healing {
            self.handle(conversation, Event::TokenExpired); // or nothing would ever be at rest
        }
    }

    /// The answer to what a session asked for.
    pub fn answer_session(&mut self, conversation: u64, event: Event<'static>) {
        if self.plant == Some(Plant::LookBeforeSubscribe) && matches!(event, Event::Admitted(Ok(_))) {
            self.subscribe(conversation);
        }
        self.handle(conversation, event);
        self.tell_shown(conversation);
    }

    fn subscribe(&mut self, conversation: u64) {
        let Some(held) = self.conversations.get_mut(&conversation) else { return };
        if let (Some(device), None) = (held.who, held.listener) {
            held.listener = self.board.subscribe(self.workspace, device).ok();
        }
    }

    /// Something is durable: the board notes it, and the bell rings.
    pub fn wake(&mut self, news: News) {
        if self.board.note(self.workspace, news) {
            self.ring();
        }
    }

    /// Level-triggered: a conversation is told once how things stand, however often the bell rings.
    fn ring(&mut self) {
        let waiting: Vec<u64> = self
            .conversations
            .iter()
            .filter(|(_, held)| held.listener.is_some() && !held.is_woken)
            .map(|(n, _)| *n)
            .collect();
        for conversation in waiting {
            if self.plant == Some(Plant::LostWake) && self.random.one_in(3) {
                continue;
            }
            if let Some(held) = self.conversations.get_mut(&conversation) {
                held.is_woken = true;
            }
            let delay = self.random.between(0, 30);
            self.after(delay, Happening::Woken { conversation });
        }
    }

    pub fn woken(&mut self, conversation: u64) {
        let Some(held) = self.conversations.get_mut(&conversation) else { return };
        held.is_woken = false;
        if let Some(wake) = held.listener.and_then(|listener| self.board.wake(listener)) {
            self.handle(conversation, Event::Woken(wake));
        }
        self.tell_shown(conversation);
    }

    fn tell_shown(&mut self, conversation: u64) {
        let now_ms = self.now();
        let listener = self.conversations.get(&conversation).and_then(|held| held.listener);
        let Some(shown) = listener.and_then(|listener| self.board.shown(listener, now_ms)) else { return };
        for (device, _) in &shown {
            if !self.conversations.values().any(|held| held.who == Some(*device)) {
                self.verdict(format!("the server shows what {device:?} does, whose sockets are closed"));
            }
        }
        self.handle(conversation, Event::Shown(shown));
    }

    /// A conversation is over.
    pub fn ended(&mut self, conversation: u64) -> Option<Conversation> {
        let held = self.conversations.remove(&conversation)?;
        let now_ms = self.now();
        let listener = held.listener.filter(|_| self.plant != Some(Plant::DeadPresence));
        if listener.is_some_and(|listener| self.board.leave(listener, now_ms)) {
            self.ring();
        }
        Some(held)
    }

    /// The line breaks: both sides learn of it, each in its own time.
    pub fn reset(&mut self, conversation: u64) {
        let Some(held) = self.ended(conversation) else { return };
        let delay = self.latency();
        self.after(delay, Happening::Closed { device: held.device, socket: held.socket });
    }
}
