//! The driver: carries the replica's outputs out over real sockets and hands back what they bring.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use roost_shared::wire::http::{TokenIs, WorkspaceIs};
use roost_shared::wire::message::{ClientMessage, ServerMessage, Token};
use roost_shared::{Code, Fault};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::error::Error;
use crate::held::{Room, refusal};
use crate::join::Joiner;
use crate::keys::KeyPair;
use crate::keys::link::Invite;
use crate::replica::{Output, Replica};
use crate::shared::{Shared, Stopped};
use crate::store::StoreError;
use crate::sync::{Event, Notice};
use crate::transport::TransportError;
use crate::transport::http::Http;
use crate::transport::websocket::{Heard, Socket};

/// A token this close to its end is not used any more.
const TOKEN_MARGIN_MS: u64 = 30_000;
/// A token is renewed no sooner than this after the last try.
const RENEW_MIN_MS: u64 = 1_000;
/// After the store failed (a full disk, say).
const STORE_RETRY: Duration = Duration::from_secs(2);

/// What a handle asks of the worker.
pub(crate) enum Command {
    /// The replica has something to do.
    Poke,
    /// These outputs came of something a handle did.
    Outputs(Vec<Output>),
    Start,
    /// Not at the next time to poll: now.
    Hurry,
    Pause,
    Stop,
}

/// What a request brought back.
enum Done {
    Connected(Result<(TokenIs, Socket), TransportError>),
    Renewed(Result<TokenIs, TransportError>),
    Room(Result<WorkspaceIs, TransportError>),
    Event(Event),
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    http: Http,
    device: KeyPair,
    workspace: roost_shared::WorkspaceId,
    token: Option<TokenIs>,
    /// When the live socket's token is to be renewed, by the monotonic clock.
    renew_at_ms: Option<u64>,
    socket: Option<Socket>,
    connecting: Option<AbortHandle>,
    requests: JoinSet<Done>,
    is_resting: bool,
    /// The last logged fault of the local store, so that each try does not log it again.
    warned: Option<Stopped>,
    /// The workspace was full at the last look.
    is_full: bool,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>, http: Http) -> Self {
        let (device, workspace) = {
            let replica = shared.replica.lock();
            (replica.device().clone(), replica.identity().workspace)
        };
        Self {
            shared,
            commands,
            http,
            device,
            workspace,
            token: None,
            renew_at_ms: None,
            socket: None,
            connecting: None,
            requests: JoinSet::new(),
            is_resting: false,
            warned: None,
            is_full: false,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let until_wake = self.until_wake();
            let done = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Poke) if self.is_resting => continue,
                    Some(Command::Poke) => self.poked().await,
                    Some(Command::Hurry) if self.shared.replica.lock().is_running() => self.event(Event::Start).await,
                    Some(Command::Hurry) => Ok(()),
                    Some(Command::Outputs(outputs)) => self.drive(|_| Ok(outputs)).await,
                    Some(Command::Start) => self.event(Event::Start).await,
                    Some(Command::Pause) => self.event(Event::Pause).await,
                    Some(Command::Stop) | None => {
                        if let Some(socket) = self.socket.take() {
                            socket.close().await;
                        }
                        self.commands.close();
                        let _ = self.event(Event::Pause).await; // whoever waits for sync looks again
                        self.shared.closed.send_replace(true);
                        return;
                    }
                },
                heard = heard(&mut self.socket) => match heard {
                    Heard::Message(bytes) => {
                        if is_token_refusal(&bytes) {
                            self.token = None;
                        }
                        self.drive(move |replica| replica.message(&bytes)).await
                    }
                    Heard::Closed(code) => {
                        self.socket = None;
                        self.closed(code, 0).await
                    }
                },
                Some(done) = self.requests.join_next() => match done {
                    Ok(done) => self.done(done).await,
                    Err(_) => Ok(()), // aborted
                },
                () = tokio::time::sleep(until_wake) => {
                    self.renew();
                    self.event(Event::Tick).await
                }
            };
            if let Err(error) = done {
                self.rest(&error);
            }
        }
    }

    /// The store failed: nothing was lost, and nothing goes on until it works again.
    fn rest(&mut self, error: &StoreError) {
        let stopped = Stopped { fault: error.fault(), what: error.to_string() };
        *self.shared.stopped.lock() = Some(stopped.clone());
        if self.warned.as_ref() != Some(&stopped) {
            tracing::warn!(%error, "sync waits for the local store, and tries again");
            self.warned = Some(stopped);
        }
        if error.fault() == Some(Fault::Full) {
            let _ = self.shared.notices.send(Notice::StorageFull);
        }
        self.shared.view.send_modify(|_| {}); // whoever waits looks again
        self.socket = None;
        self.requests.abort_all();
        self.is_resting = true;
    }

    /// The store did what it was to do.
    fn goes_on(&mut self) {
        self.is_resting = false;
        let was_stopped = self.shared.stopped.lock().take().is_some();
        if was_stopped {
            tracing::info!("the local store works again: sync goes on");
            self.shared.view.send_modify(|_| {});
        }
        if self.shared.view.borrow().synced {
            self.warned = None; // the next time is news
        }
    }

    /// Asks how full the workspace is, once each time the server begins to refuse more.
    fn look_for_room(&mut self) {
        let is_full = refusal(&self.shared.view.borrow()) == Some(Code::QuotaExceeded);
        let was_full = std::mem::replace(&mut self.is_full, is_full);
        if let (true, Some(token)) = (is_full && !was_full, &self.token) {
            let (http, workspace, token) = (self.http.clone(), self.workspace, token.token.clone());
            self.requests.spawn(async move { Done::Room(http.workspace(workspace, &token).await) });
        }
    }

    fn until_wake(&self) -> Duration {
        const IDLE: Duration = Duration::from_secs(60);
        if self.is_resting {
            return STORE_RETRY;
        }
        let wake_at_ms = self.shared.replica.lock().wake_at_ms();
        wake_at_ms
            .into_iter()
            .chain(self.renew_at_ms)
            .min()
            .map_or(IDLE, |at_ms| Duration::from_millis(at_ms.saturating_sub(self.shared.clock.monotonic_ms())))
    }

    /// Nobody is told that nothing was to be done.
    async fn poked(&mut self) -> Result<(), StoreError> {
        let (said, has_work) = {
            let mut replica = self.shared.replica.lock();
            (replica.present(), replica.has_work())
        };
        if said.is_none() && !has_work {
            return Ok(());
        }
        self.drive(|_| Ok(Vec::from_iter(said))).await
    }

    async fn event(&mut self, event: Event) -> Result<(), StoreError> {
        self.drive(move |replica| replica.handle(event)).await
    }

    async fn closed(&mut self, code: Option<Code>, retry_after_ms: u64) -> Result<(), StoreError> {
        if matches!(code, Some(Code::TokenExpired | Code::TokenInvalid)) {
            self.token = None;
        }
        self.event(Event::Closed { code, retry_after_ms }).await
    }

    /// Runs `work` and everything that follows from it, off the threads that serve sockets; the replica is free for
    /// the app between any two pieces.
    async fn drive(
        &mut self,
        work: impl FnOnce(&mut Replica) -> Result<Vec<Output>, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let ran = tokio::task::spawn_blocking(move || -> Result<Vec<Output>, StoreError> {
            let mut outputs = {
                let mut replica = shared.replica.lock();
                let outputs = work(&mut replica);
                shared.publish(&mut replica);
                outputs?
            };
            loop {
                let mut replica = shared.replica.lock();
                if !replica.has_work() {
                    shared.view.send_replace(replica.view()); // at rest: who waits for that looks again
                    return Ok(outputs);
                }
                let more = replica.work();
                shared.publish(&mut replica);
                MutexGuard::unlock_fair(replica); // whoever waits to look or to edit goes first
                outputs.extend(more?);
            }
        });
        let outputs = match ran.await {
            Ok(ran) => ran?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down and takes no more work; it drops this task at its next rest.
                Err(_) => std::future::pending().await,
            },
        };
        self.goes_on();
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            self.carry_out(output);
        }
        self.look_for_room();
        Ok(())
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Connect => self.connect(),
            Output::Disconnect => {
                self.socket = None;
                if let Some(connecting) = self.connecting.take() {
                    connecting.abort();
                }
            }
            Output::Hello(mut hello) => {
                hello.token = Token(self.token.as_ref().map(|token| token.token.clone()).unwrap_or_default());
                self.send(&ClientMessage::Hello(*hello));
            }
            Output::Send(message) => self.send(&message),
            Output::ProposeLog(propose) => {
                let (http, workspace) = (self.http.clone(), self.workspace);
                let token = self.token.as_ref().map(|token| token.token.clone()).unwrap_or_default();
                self.request(async move {
                    let granted = http.propose_log(workspace, &token, &propose).await;
                    Event::LogGranted(granted.map_err(|error| error.code().unwrap_or(Code::RetryLater)))
                });
            }
            Output::Carry { records, create } => {
                let http = self.http.clone();
                self.request(async move { Event::Carried(http.carry(&records, &create).await) });
            }
            Output::Rejoin(invite) => self.rejoin(invite),
            Output::Post(record) => {
                let http = self.http.clone();
                self.request(async move {
                    let posted = http.post_record(&record).await;
                    Event::Posted(posted.map(|_| ()).map_err(|error| error.code().unwrap_or(Code::RetryLater)))
                });
            }
        }
    }

    fn rejoin(&mut self, invite: Invite) {
        let (http, device, workspace) = (self.http.clone(), self.device.clone(), self.workspace);
        let (clock, name) = (Arc::clone(&self.shared.clock), self.shared.replica.lock().identity().name.clone());
        self.request(async move {
            let joiner = Joiner { invite: &invite, device: &device, name: &name };
            Event::Carried(match joiner.take_place(&*clock, &http, workspace).await {
                Ok(_) => Ok(true),
                Err(Error::Transport(error)) if error.code() != Some(Code::LinkUnavailable) => {
                    Err(error.code().unwrap_or(Code::RetryLater))
                }
                Err(_) => Ok(false), // the link was used by another, or ran out
            })
        });
    }

    fn request(&mut self, request: impl Future<Output = Event> + Send + 'static) {
        self.requests.spawn(async move { Done::Event(request.await) });
    }

    fn connect(&mut self) {
        let (http, workspace, device) = (self.http.clone(), self.workspace, self.device.clone());
        let fresh_at_ms = self.shared.clock.now_ms() + TOKEN_MARGIN_MS;
        let token = self.token.clone().filter(|token| token.expires_at_ms > fresh_at_ms);
        let connecting = self.requests.spawn(async move {
            let connected = async {
                let token = match token {
                    Some(token) => token,
                    None => http.session(workspace, &device).await?,
                };
                let socket = Socket::open(http.server(), workspace, &token.token).await?;
                Ok((token, socket))
            };
            Done::Connected(connected.await)
        });
        self.connecting = Some(connecting);
    }

    async fn done(&mut self, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Event(event) => self.event(event).await,
            Done::Connected(Ok((token, socket))) => {
                self.connecting = None;
                self.token = Some(token);
                *self.shared.unheard.lock() = Some(socket.unheard());
                self.socket = Some(socket);
                self.renew_later();
                *self.shared.trouble.lock() = None;
                self.event(Event::Opened).await
            }
            Done::Renewed(Ok(token)) => {
                let renew = ClientMessage::Renew { token: Token(token.token.clone()) };
                self.token = Some(token);
                if self.socket.is_some() {
                    self.renew_later();
                    self.send(&renew);
                }
                Ok(())
            }
            Done::Renewed(Err(error)) => {
                tracing::debug!(%error, "the token was not renewed");
                self.renew_later();
                Ok(())
            }
            Done::Room(Ok(workspace)) => {
                *self.shared.room.lock() = Some(Room::new(workspace.bytes, workspace.quota_bytes));
                self.shared.view.send_modify(|_| {});
                Ok(())
            }
            Done::Room(Err(error)) => {
                tracing::debug!(%error, "the server did not say how full the workspace is");
                self.is_full = false; // asked again at the next refusal
                Ok(())
            }
            Done::Connected(Err(error)) => {
                self.connecting = None;
                tracing::debug!(%error, "not connected");
                let (code, retry_after_ms) = (error.code(), error.retry_after_ms());
                *self.shared.trouble.lock() = Some(error);
                self.closed(code, retry_after_ms).await
            }
        }
    }

    /// Half of what is left of a token's life, or all but the margin; a wrong clock of ours costs a new socket at the most.
    fn renew_later(&mut self) {
        let expires_at_ms = self.token.as_ref().map_or(0, |token| token.expires_at_ms);
        let left_ms = expires_at_ms.saturating_sub(self.shared.clock.now_ms());
        let pause_ms = (left_ms / 2).max(left_ms.saturating_sub(TOKEN_MARGIN_MS)).max(RENEW_MIN_MS);
        self.renew_at_ms = Some(self.shared.clock.monotonic_ms() + pause_ms);
    }

    /// Asks for a new token when the time has come.
    fn renew(&mut self) {
        let now_ms = self.shared.clock.monotonic_ms();
        if self.renew_at_ms.take_if(|at_ms| *at_ms <= now_ms).is_some() && self.socket.is_some() {
            let (http, workspace, device) = (self.http.clone(), self.workspace, self.device.clone());
            self.requests.spawn(async move { Done::Renewed(http.session(workspace, &device).await) });
        }
    }

    fn send(&mut self, message: &ClientMessage) {
        let sent = self.socket.as_ref().is_none_or(|socket| socket.send(message.encode()));
        // What is shown is said again; on a slow line it must not cost the socket.
        if !sent && !matches!(message, ClientMessage::Ephemeral { .. }) {
            self.socket = None;
            self.request(async { Event::Closed { code: None, retry_after_ms: 0 } });
        }
    }
}

/// The server does not take the token, whatever our clock says of it.
fn is_token_refusal(bytes: &[u8]) -> bool {
    const ERROR: u8 = 0x49;
    bytes.first() == Some(&ERROR)
        && matches!(
            ServerMessage::decode(bytes),
            Ok(ServerMessage::Error { code: Code::TokenInvalid | Code::TokenExpired, .. })
        )
}

async fn heard(socket: &mut Option<Socket>) -> Heard {
    match socket {
        Some(socket) => socket.heard().await,
        None => std::future::pending().await,
    }
}
