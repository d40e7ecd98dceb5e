//! Pumps bytes between one WebSocket and one [`Session`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use roost_shared::limits::{HELLO_TIMEOUT_MS, PRESENCE_PAUSE_MS};
use roost_shared::wire::error::Close;
use roost_shared::{Code, DeviceId, WorkspaceId};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::now_ms;
use crate::fanout::Subscription;
use crate::line::Valve;
use crate::session::{Effect, Event, Session};

/// When a drained device may come back.
const DRAIN_RETRY_MS: u64 = 1_000;

/// The answer that a spawned piece of work brings back; with a place among the listeners, where the device is let in.
type Answer = (Event<'static>, Option<Subscription>);

struct Pump {
    app: Arc<App>,
    socket: WebSocket,
    /// Narrow until the device is let in.
    valve: Arc<Valve>,
    session: Session,
    nonce: [u8; 32],
    /// The workspace of the path; Hello must name the same.
    workspace: WorkspaceId,
    who: Option<(WorkspaceId, DeviceId)>,
    subscription: Option<Subscription>,
    /// The latest this device showed too soon after the one before, and when the others may see it.
    to_show: Option<Vec<u8>>,
    show_at: Instant,
    deadline: Instant,
    work: JoinSet<Answer>,
}

/// Serves one socket until it closes or `stop` is cancelled.
pub async fn serve(
    app: Arc<App>,
    socket: WebSocket,
    valve: Arc<Valve>,
    workspace: WorkspaceId,
    stop: CancellationToken,
) {
    let mut nonce = [0; 32];
    if getrandom::fill(&mut nonce).is_err() {
        return;
    }
    let (session, challenge) = Session::open(nonce);
    let mut pump = Pump {
        app,
        socket,
        valve,
        session,
        nonce,
        workspace,
        who: None,
        subscription: None,
        to_show: None,
        show_at: Instant::now(),
        deadline: Instant::now() + Duration::from_millis(HELLO_TIMEOUT_MS),
        work: JoinSet::new(),
    };
    if pump.carry_out(vec![challenge]).await.is_err() {
        return;
    }
    while pump.turn(&stop).await.is_ok() {}
    // An append under way goes on: its outcome must not depend on the socket.
    pump.work.detach_all();
}

/// The socket is closed or of no more use.
struct Gone;

impl Pump {
    async fn turn(&mut self, stop: &CancellationToken) -> Result<(), Gone> {
        let effects = tokio::select! {
            message = self.socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => self.session.handle(Event::Message(&bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Vec::new(),
                Some(Ok(Message::Text(_))) => self.session.handle(Event::Message(&[])),
                Some(Ok(Message::Close(_))) | None => return Err(Gone),
                Some(Err(_)) => self.session.handle(Event::Unread(Code::TooLarge)),
            },
            code = self.valve.overflow(), if self.subscription.is_none() => self.session.handle(Event::Unread(code)),
            Some(done) = self.work.join_next() => match done {
                Ok(answer) => self.answered(answer),
                Err(_) => return Err(Gone),
            },
            wake = woken(&mut self.subscription) => {
                let mut effects = self.session.handle(Event::Woken(wake));
                effects.extend(self.look_at_shown());
                effects
            }
            () = tokio::time::sleep_until(self.show_at), if self.to_show.is_some() => {
                self.show();
                Vec::new()
            }
            () = tokio::time::sleep_until(self.deadline) => {
                let event = if self.subscription.is_some() { Event::TokenExpired } else { Event::HelloLate };
                self.session.handle(event)
            }
            () = stop.cancelled() => self.session.handle(Event::Drain { retry_after_ms: DRAIN_RETRY_MS }),
        };
        self.carry_out(effects).await
    }

    fn answered(&mut self, (event, subscription): Answer) -> Vec<Effect> {
        let is_let_in = subscription.is_some();
        if is_let_in {
            self.subscription = subscription;
            self.valve.widen();
        }
        if let Some(expires_at_ms) = event.expires_at_ms() {
            self.deadline = Instant::now() + Duration::from_millis(expires_at_ms.saturating_sub(now_ms()));
        }
        let mut effects = self.session.handle(event);
        if is_let_in {
            effects.extend(self.look_at_shown());
        }
        effects
    }

    fn look_at_shown(&mut self) -> Vec<Effect> {
        let shown = self.subscription.as_ref().and_then(Subscription::shown);
        shown.map_or_else(Vec::new, |shown| self.session.handle(Event::Shown(shown)))
    }

    /// Has the others see what this device showed last.
    fn show(&mut self) {
        if let (Some(subscription), Some(presence)) = (&self.subscription, self.to_show.take()) {
            subscription.show(&presence);
            self.show_at = Instant::now() + Duration::from_millis(PRESENCE_PAUSE_MS);
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), Gone> {
        for effect in effects {
            let app = Arc::clone(&self.app);
            match effect {
                Effect::Send(message) => {
                    let message = Message::Binary(Bytes::from(message.encode()));
                    self.socket.send(message).await.map_err(|_| Gone)?;
                }
                Effect::Close(close) => {
                    self.close(close).await;
                    return Err(Gone);
                }
                Effect::Admit(hello) => {
                    self.who = Some((hello.workspace, hello.device));
                    let nonce = self.nonce;
                    let is_same = hello.workspace == self.workspace;
                    self.work.spawn(async move {
                        if !is_same {
                            return (Event::Admitted(Err(Code::WrongWorkspace)), None);
                        }
                        // Subscribed before the look: a write in between wakes this socket.
                        let subscription = app.logs.fanout.subscribe(hello.workspace, hello.device);
                        let admitted = app.access.admit(&app.logs.store, &hello, &nonce, now_ms()).await;
                        match admitted.and_then(|admission| Ok((admission, subscription?))) {
                            Ok((admission, subscription)) => {
                                (Event::Admitted(Ok(Box::new(admission))), Some(subscription))
                            }
                            Err(code) => (Event::Admitted(Err(code)), None),
                        }
                    });
                }
                Effect::Append { id, append } => {
                    self.ask(async move { Event::Appended { id, outcome: app.logs.append(append).await } });
                }
                Effect::Show(presence) => {
                    self.to_show = Some(presence);
                    if self.show_at <= Instant::now() {
                        self.show();
                    }
                }
                Effect::Renew(token) => {
                    let who = self.who;
                    self.ask(async move { Event::Renewed(app.access.renew(who, &token, now_ms())) });
                }
                Effect::Read { after, max_bytes } => {
                    let Some((workspace, _)) = self.who else { return Err(Gone) };
                    self.ask(async move { Event::Page(app.logs.read(workspace, after, max_bytes).await) });
                }
                Effect::See(seen) => {
                    let Some((workspace, _)) = self.who else { return Err(Gone) };
                    self.ask(async move { Event::Saw(app.see(workspace, seen).await) });
                }
                Effect::ReadSeen => {
                    let Some((workspace, _)) = self.who else { return Err(Gone) };
                    self.ask(async move { Event::Seen(app.logs.store.seen(workspace).await) });
                }
                Effect::Check => {
                    let Some((workspace, device)) = self.who else { return Err(Gone) };
                    self.ask(async move { Event::Checked(app.logs.is_active(workspace, device).await) });
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, work: impl Future<Output = Event<'static>> + Send + 'static) {
        self.work.spawn(async move { (work.await, None) });
    }

    async fn close(&mut self, close: Close) {
        let frame = CloseFrame { code: close as u16, reason: Utf8Bytes::from_static("") };
        let _ = self.socket.send(Message::Close(Some(frame))).await;
    }
}

async fn woken(subscription: &mut Option<Subscription>) -> crate::fanout::Wake {
    match subscription {
        Some(subscription) => subscription.woken().await,
        None => std::future::pending().await,
    }
}
