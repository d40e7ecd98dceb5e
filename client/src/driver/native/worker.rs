//! The worker: one Tokio task that runs the replica's work off the threads that serve sockets, and the courier's jobs over
//! the network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use roost_shared::wire::http::TokenIs;
use roost_shared::{Code, Fault, WorkspaceId};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::documents::held::Room;
use crate::driver::courier::{Answer, Ask, Courier, Follows, Job};
use crate::driver::shared::{Command, Shared, Stopped};
use crate::keys::KeyPair;
use crate::members::join::{JoinError, Joiner};
use crate::members::republish::{Next, Republish};
use crate::replica::{Output, Replica, refusal};
use crate::store::StoreError;
use crate::sync::{Event, Notice};
use crate::transport::server::Server;
use crate::transport::{Heard, Socket, TransportError};

/// After the store failed (a full disk, say).
const STORE_RETRY: Duration = Duration::from_secs(2);

/// What a request brought back.
enum Done {
    Connected(Result<(TokenIs, Box<dyn Socket>), TransportError>),
    Answer(Answer),
    /// The socket could not take a message.
    Stuck,
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    server: Server,
    device: KeyPair,
    name: String,
    workspace: WorkspaceId,
    courier: Courier,
    socket: Option<Box<dyn Socket>>,
    connecting: Option<AbortHandle>,
    requests: JoinSet<Done>,
    is_resting: bool,
    /// The last logged fault of the local store, so that each try does not log it again.
    warned: Option<Stopped>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>, server: Server) -> Self {
        let (device, workspace, name) = {
            let replica = shared.replica.lock();
            (replica.device().clone(), replica.identity().workspace, replica.identity().name.clone())
        };
        Self {
            shared,
            commands,
            server,
            device,
            name,
            workspace,
            courier: Courier::default(),
            socket: None,
            connecting: None,
            requests: JoinSet::new(),
            is_resting: false,
            warned: None,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let until_wake = self.until_wake();
            let done = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Poke) if self.is_resting || !self.shared.standing.has_work() => continue,
                    Some(Command::Poke) => self.drive(|_| Ok(())).await,
                    Some(Command::Hurry) if self.shared.standing.is_running() => self.event(Event::Start).await,
                    Some(Command::Hurry) => Ok(()),
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
                        self.courier.heard(&bytes);
                        self.drive(move |replica| replica.message(&bytes)).await
                    }
                    Heard::Closed(code) => self.closed(code).await,
                },
                Some(done) = self.requests.join_next() => match done {
                    Ok(done) => self.done(done).await,
                    Err(_) => Ok(()), // aborted
                },
                () = tokio::time::sleep(until_wake) => {
                    let renew = self.courier.tick(self.shared.clock.monotonic_ms());
                    renew.into_iter().for_each(|job| self.carry_out(job));
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

    fn until_wake(&self) -> Duration {
        const IDLE: Duration = Duration::from_secs(60);
        if self.is_resting {
            return STORE_RETRY;
        }
        let wakes = self.shared.standing.wake_at_ms().into_iter().chain(self.courier.wake_at_ms());
        let now_ms = self.shared.clock.monotonic_ms();
        wakes.min().map_or(IDLE, |at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)))
    }

    async fn event(&mut self, event: Event) -> Result<(), StoreError> {
        self.drive(move |replica| replica.handle(event)).await
    }

    async fn closed(&mut self, code: Option<Code>) -> Result<(), StoreError> {
        self.socket = None;
        let closed = self.courier.closed(code, 0);
        self.event(closed).await
    }

    /// Runs `work` and everything that follows from it, off the threads that serve sockets; the replica is free for
    /// the app between any two pieces.
    async fn drive(
        &mut self,
        work: impl FnOnce(&mut Replica) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let ran = tokio::task::spawn_blocking(move || run(&shared, work));
        let outputs = match ran.await {
            Ok(ran) => ran?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down and takes no more work; it drops this task at its next rest.
                Err(_) => std::future::pending().await,
            },
        };
        self.goes_on();
        for output in outputs {
            let job = self.courier.job(&*self.shared.clock, output);
            self.carry_out(job);
        }
        let refusal = refusal(&self.shared.view.borrow());
        self.courier.room(refusal).into_iter().for_each(|job| self.carry_out(job));
        Ok(())
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Connect(token) => self.connect(token),
            Job::Disconnect => {
                self.socket = None;
                if let Some(connecting) = self.connecting.take() {
                    connecting.abort();
                }
            }
            Job::Send(message) => {
                if self.socket.as_mut().is_some_and(|socket| !socket.send(message)) {
                    self.socket = None;
                    self.requests.spawn(async { Done::Stuck });
                }
            }
            Job::Show(message) => {
                self.socket.as_mut().map(|socket| socket.send(message));
            }
            Job::Ask(ask) => {
                let (server, workspace, device) = (self.server.clone(), self.workspace, self.device.clone());
                let (clock, name) = (Arc::clone(&self.shared.clock), self.name.clone());
                self.requests.spawn(async move {
                    Done::Answer(match ask {
                        Ask::Renew => Answer::Renewed(code_of(server.session(workspace, &device).await)),
                        Ask::Room(token) => Answer::Room(code_of(server.workspace(workspace, &token).await)),
                        Ask::ProposeLog(token, propose) => {
                            Answer::LogGranted(code_of(server.propose_log(workspace, &token, &propose).await))
                        }
                        Ask::Republish(republish) => Answer::Republished(self::republish(&server, republish).await),
                        Ask::Rejoin(invite) => {
                            let joiner = Joiner { invite: &invite, device: &device, name: &name };
                            Answer::Republished(rejoined(
                                joiner.take_place(&*clock, &server, workspace).await.map(|_| ()),
                            ))
                        }
                        Ask::Post(record) => Answer::Posted(code_of(server.post_record(&record).await.map(|_| ()))),
                    })
                });
            }
        }
    }

    fn connect(&mut self, token: Option<TokenIs>) {
        let (server, workspace, device) = (self.server.clone(), self.workspace, self.device.clone());
        let connecting = self.requests.spawn(async move {
            let connected = async {
                let token = match token {
                    Some(token) => token,
                    None => server.session(workspace, &device).await?,
                };
                let socket = server.connect(workspace, &token.token).await?;
                Ok((token, socket))
            };
            Done::Connected(connected.await)
        });
        self.connecting = Some(connecting);
    }

    async fn done(&mut self, done: Done) -> Result<(), StoreError> {
        let answer = match done {
            Done::Answer(answer) => answer,
            Done::Stuck => return self.closed(None).await,
            Done::Connected(Ok((token, socket))) => {
                self.connecting = None;
                *self.shared.unheard.lock() = Some(socket.unheard());
                self.socket = Some(socket);
                *self.shared.trouble.lock() = None;
                Answer::Connected(Ok(token))
            }
            Done::Connected(Err(error)) => {
                self.connecting = None;
                tracing::debug!(%error, "not connected");
                let why = (error.code(), error.retry_after_ms());
                *self.shared.trouble.lock() = Some(error);
                Answer::Connected(Err(why))
            }
        };
        match self.courier.answered(&*self.shared.clock, answer) {
            Follows::Event(event) => return self.event(event).await,
            Follows::Job(job) => self.carry_out(job),
            Follows::Room(workspace) => {
                *self.shared.room.lock() = Some(Room::new(workspace.bytes, workspace.quota_bytes));
                self.shared.view.send_modify(|_| {});
            }
            Follows::Nothing => {}
        }
        Ok(())
    }
}

/// Runs work and what follows from it to its end; the outputs of all of it.
fn run(
    shared: &Shared,
    work: impl FnOnce(&mut Replica) -> Result<(), StoreError>,
) -> Result<VecDeque<Output>, StoreError> {
    let mut replica = shared.replica.lock();
    let mut done = work(&mut replica);
    loop {
        let outputs = if done.is_ok() && !replica.has_work() { Some(replica.take_outputs()) } else { None };
        shared.publish(&mut replica);
        done?;
        if let Some(outputs) = outputs {
            shared.view.send_replace(replica.view()); // at rest: who waits for that looks again
            return Ok(outputs);
        }
        MutexGuard::unlock_fair(replica); // whoever waits to look or to edit goes first
        replica = shared.replica.lock();
        done = replica.work();
    }
}

fn code_of<T>(answer: Result<T, TransportError>) -> Result<T, Option<Code>> {
    answer.map_err(|error| {
        tracing::debug!(%error, "the server did not do it");
        error.code()
    })
}

/// Republishes records to a server that may lack them.
async fn republish(server: &Server, mut republish: Republish) -> Result<bool, Code> {
    loop {
        let answer = match republish.next() {
            Next::Post(record) => server.post_record(record).await.map(|_| ()),
            Next::Create(create) => server.create(create).await.map(|_| ()),
            Next::Over(over) => return over,
        };
        republish.answered(code_of(answer));
    }
}

/// Translates the outcome of a rejoin: true for a device that is in the roster again.
fn rejoined(joined: Result<(), JoinError>) -> Result<bool, Code> {
    match joined {
        Ok(()) => Ok(true),
        Err(JoinError::Transport(error)) if error.code() != Some(Code::LinkUnavailable) => {
            Err(error.code().unwrap_or(Code::RetryLater))
        }
        Err(_) => Ok(false), // the link was used by another, or ran out
    }
}

async fn heard(socket: &mut Option<Box<dyn Socket>>) -> Heard {
    match socket {
        Some(socket) => socket.heard().await,
        None => std::future::pending().await,
    }
}
