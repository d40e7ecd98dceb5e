//! A workspace on this device: its documents, and how sync stands. Who is in it: `membership`.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loro::LoroDoc;
use parking_lot::Mutex;
use roost_shared::roster::Scope;
use roost_shared::{DeviceId, DocumentId, WorkspaceId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use crate::api::error::Error;
use crate::clock::Clock;
use crate::documents::names::Names;
use crate::documents::reader::Reader;
use crate::driver::listener::Listener;
use crate::driver::native::worker::Worker;
use crate::driver::shared::Shared;
use crate::driver::shared::{Command, Standing, Told};
use crate::migrate::plan::schema_at;
use crate::presence::board::Presence;
use crate::replica::Status;
use crate::replica::{EditError, Replica};
use crate::schema::Schema;
use crate::store::{DocumentSchema, LateEdit, Quarantined, Store, StoreError};
use crate::sync::{Notice, View};
use crate::transport::TransportError;
use crate::transport::server::Server;

/// Commands waiting for the worker; a poke that finds it full changes nothing, because one is waiting already.
const COMMANDS_MAX: usize = 64;
/// The longest time that a look waits for the replica.
const LOOK_WAIT: Duration = Duration::from_millis(20);
/// Notices a listener may lag behind before it loses the oldest.
const NOTICES_MAX: usize = 256;

/// An open workspace. Cheap to clone; the last clone dropped ends its sync.
#[derive(Clone)]
pub struct Workspace {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    worker: Mutex<Option<JoinHandle<()>>>,
    server: Server,
    workspace: WorkspaceId,
    device: DeviceId,
    schema: Schema,
    names: Arc<Names>,
    /// The hooks of each type of record.
    hooks: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// Where a look finds a document.
pub(crate) enum Source<'a> {
    Replica(&'a mut Replica),
    Reader(&'a mut Reader),
}

thread_local! {
    /// The workspaces that this thread is in the middle of an edit, a look or a hook of.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// This thread uses a workspace.
struct Inside;

impl Inside {
    /// An app that uses a workspace within one of its own edits would wait for itself for ever.
    fn enter(workspace: usize) -> Self {
        INSIDE.with_borrow_mut(|inside| {
            assert!(
                !inside.contains(&workspace),
                "a workspace was used within one of its own edits, looks or hooks: use the document or the batch they are given"
            );
            inside.push(workspace);
        });
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(Vec::pop);
    }
}

impl Workspace {
    pub(crate) fn start(mut replica: Replica, server: Server, clock: Arc<dyn Clock>) -> Self {
        let (workspace, device) = (replica.identity().workspace, replica.device().device_id());
        let (status, schema) = (Status::of(&mut replica, None, None), replica.schema().clone());
        let names = replica.names_asked();
        let shared = Arc::new(Shared {
            view: watch::Sender::new(replica.view()),
            standing: Standing::of(&replica),
            reader: Mutex::new(replica.reader()),
            replica: Mutex::new(replica),
            clock,
            notices: broadcast::Sender::new(NOTICES_MAX),
            changed: broadcast::Sender::new(NOTICES_MAX),
            told: broadcast::Sender::new(NOTICES_MAX),
            looks: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            trouble: Mutex::new(None),
            unheard: Mutex::new(None),
            status: Mutex::new(status),
            stopped: Mutex::new(None),
            room: Mutex::new(None),
        });
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let worker = tokio::spawn(Worker::new(Arc::clone(&shared), waiting, server.clone()).run());
        // What the store still had to merge.
        let _ = commands.try_send(Command::Poke);
        let worker = Mutex::new(Some(worker));
        let hooks = Mutex::default();
        Self { inner: Arc::new(Inner { shared, commands, worker, server, workspace, device, schema, names, hooks }) }
    }

    /// The workspace's id.
    pub fn id(&self) -> WorkspaceId {
        self.inner.workspace
    }

    /// This device's id.
    pub fn device(&self) -> DeviceId {
        self.inner.device
    }

    /// The server's address.
    pub fn server(&self) -> String {
        self.with(|replica| replica.identity().server.clone())
    }

    /// What this device may do; None once it was revoked.
    pub fn scope(&self) -> Option<Scope> {
        self.with(|replica| replica.scope())
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Replica) -> T) -> T {
        let _inside = Inside::enter(Arc::as_ptr(&self.inner.shared).addr());
        let mut replica = self.inner.shared.replica.lock();
        let done = work(&mut replica);
        self.inner.shared.publish(&mut replica);
        done
    }

    /// Looks at a document, of the replica or, while long work has that, as it is saved.
    pub(crate) fn look<T>(&self, document: DocumentId, look: impl FnOnce(Source<'_>) -> T) -> T {
        self.look_where(|reader| reader.open(document), look)
    }

    /// Looks at the tables of a document's collections.
    pub(crate) fn look_at_records<T>(
        &self,
        document: DocumentId,
        look: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, EditError> {
        let is_ready = |reader: &mut Reader| reader.store().is_some();
        self.look_where(is_ready, |source| match source {
            Source::Replica(replica) => Ok(look(replica.followed(document)?)?),
            Source::Reader(reader) => Ok(reader.store().ok_or_else(EditError::not_open)?.at_one_moment(look)?),
        })
    }

    fn look_where<T>(&self, is_ready: impl FnOnce(&mut Reader) -> bool, look: impl FnOnce(Source<'_>) -> T) -> T {
        let shared = &self.inner.shared;
        let _inside = Inside::enter(Arc::as_ptr(shared).addr());
        let replica = shared.replica.try_lock_for(LOOK_WAIT);
        if replica.is_none() {
            let mut reader = shared.reader.lock();
            if is_ready(&mut reader) {
                return look(Source::Reader(&mut reader));
            }
        } else if let Some(mut reader) = shared.reader.try_lock() {
            reader.forget();
        }
        let mut replica = replica.unwrap_or_else(|| shared.replica.lock());
        let looked = look(Source::Replica(&mut replica));
        shared.publish(&mut replica);
        looked
    }

    /// The schema version that a document is at as it is saved.
    pub(crate) fn schema_of(&self, document: DocumentId, loro: &LoroDoc) -> u32 {
        let schema = &self.inner.schema;
        self.inner.names.of(document).map_or(schema.number(), |name| schema_at(schema, &name, loro))
    }

    /// The app's schema.
    pub(crate) fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Tells the worker that there is something to do.
    pub(crate) fn poke(&self) {
        let _ = self.inner.commands.try_send(Command::Poke); // full: one is waiting already
    }

    /// The id of the document of this name; the same on every device, even when two create it offline.
    pub(crate) fn document_named(&self, name: &str) -> Result<DocumentId, Error> {
        match self.inner.names.named(name) {
            Some(id) => Ok(id),
            None => Ok(self.with(|replica| replica.named(name))?),
        }
    }

    /// The documents the workspace lists, by name.
    pub fn documents(&self) -> Result<Vec<(DocumentId, String)>, Error> {
        Ok(self.with(Replica::names)?)
    }

    /// How the documents the workspace lists stand with schema versions.
    pub fn document_schemas(&self) -> Result<Vec<(DocumentId, DocumentSchema)>, Error> {
        let schema_of = |replica: &mut Replica, id| Ok((id, replica.store().document_schema(id)?));
        self.with(|replica| replica.names()?.into_iter().map(|(id, _)| schema_of(replica, id)).collect())
    }

    /// Edits of content that a rewrite had moved already, by devices that had not met the rewrite. They are kept where
    /// they were made. An app looks at them, brings over what it wants with an edit, and then forgets them. A device that
    /// may only read is not told of those that came while its app was too old to know the rewrite, until it may write.
    pub fn late_edits(&self) -> Result<Vec<LateEdit>, Error> {
        Ok(self.with(|replica| replica.late_edits())?)
    }

    /// The app has dealt with these.
    pub fn forget_late_edits(&self, seen: &[LateEdit]) -> Result<(), Error> {
        Ok(self.with(|replica| replica.forget_late(seen))?)
    }

    /// The entries that were put aside because they do not merge, and why.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, Error> {
        Ok(self.with(|replica| replica.quarantine())?)
    }

    /// Tries to merge an entry that was put aside again, with the others of its document, or all of them: after an update of
    /// the app, say. How many were merged.
    pub fn retry_quarantined(&self, seq: Option<u64>) -> Result<usize, Error> {
        let merged = self.with(|replica| replica.retry_quarantined(seq))?;
        self.poke();
        Ok(merged)
    }

    /// Leaves an entry that was put aside as it is: its bytes are kept, and it is no longer counted. False if there is none.
    pub fn accept_quarantined(&self, seq: u64) -> Result<bool, Error> {
        Ok(self.with(|replica| replica.accept_quarantined(seq))?)
    }

    /// The workspace's status now. The call waits for no work: while a merge or an edit takes long, the answer is the status before it,
    /// neither `on_server` nor `synced`.
    pub fn status(&self) -> Status {
        let shared = &self.inner.shared;
        let Some(mut replica) = shared.replica.try_lock_for(LOOK_WAIT) else {
            return shared.status.lock().clone().at(&shared.view.borrow(), false);
        };
        let _inside = Inside::enter(Arc::as_ptr(shared).addr());
        let status = self.look_up(&mut replica);
        shared.publish(&mut replica);
        status
    }

    /// The status once the work under way is done, awaited off the threads that serve sockets.
    async fn sure_status(&self) -> Result<Status, Error> {
        if let Some(mut replica) = self.inner.shared.replica.try_lock() {
            return Ok(self.look_up(&mut replica));
        }
        let workspace = self.clone();
        let looked = tokio::task::spawn_blocking(move || workspace.with(|replica| workspace.look_up(replica)));
        looked.await.map_err(|_| Error::Closed)
    }

    fn look_up(&self, replica: &mut Replica) -> Status {
        let shared = &self.inner.shared;
        let (stopped, room) = (shared.stopped.lock().clone(), *shared.room.lock());
        let mut status = Status::of(replica, stopped.as_ref().and_then(|stopped| stopped.fault), room);
        // What the server has said by now may be of more.
        let is_heard = !shared.has_unheard();
        status.synced &= stopped.is_none() && is_heard;
        status.caught_up &= is_heard;
        status.settled &= is_heard;
        let trouble = shared.trouble.lock().as_ref().map(TransportError::while_syncing);
        status.trouble = stopped.map(|stopped| stopped.what).or(trouble);
        shared.status.lock().clone_from(&status);
        status
    }

    /// Tries whether an edit could be saved now; the error names the machine's fault, such as a full disk.
    pub fn check_writes(&self) -> Result<(), Error> {
        Ok(self.with(Replica::check_writes)?)
    }

    /// Changes each time [`Workspace::status`] may have.
    pub fn watch_status(&self) -> watch::Receiver<View> {
        self.inner.shared.view.subscribe()
    }

    /// Changes each time another device looks at something else, or away ([`crate::DeviceInfo::looks_at`]).
    pub fn watch_looks(&self) -> watch::Receiver<u64> {
        self.inner.shared.looks.subscribe()
    }

    /// What happens from now on: [`Notice`] says what there is and when it comes. Dropping the receiver ends the
    /// subscription; one that lags loses the oldest.
    ///
    /// ```no_run
    /// # use roost::{Notice, Workspace};
    /// # async fn follow(workspace: &Workspace) {
    /// let mut events = workspace.events();
    /// while let Ok(event) = events.recv().await {
    ///     match event {
    ///         Notice::SyncFinished(report) => println!("{} new records", report.added),
    ///         Notice::Behind { needs, .. } => println!("update the app: schema {needs} is needed"),
    ///         Notice::StorageFull => println!("the disk is full: nothing saved is harmed"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> broadcast::Receiver<Notice> {
        self.inner.shared.notices.subscribe()
    }

    pub(crate) fn changed(&self) -> Listener<DocumentId> {
        Listener::new(&self.inner.shared.changed, &self.inner.shared.closed)
    }

    pub(crate) fn told(&self) -> Listener<Arc<Told>> {
        Listener::new(&self.inner.shared.told, &self.inner.shared.closed)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.inner.shared.clock)
    }

    /// The hooks of each type of record.
    pub(crate) fn hooks_by_type(&self) -> &Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>> {
        &self.inner.hooks
    }

    /// What the other devices see from now on that this one's person looks at ([`crate::DeviceInfo::looks_at`],
    /// [`Workspace::watch_looks`]); None for nothing. It is sealed, stored nowhere, and gone when this device is: the server
    /// says so when the socket ends, and the others forget it twelve seconds after they heard of it last.
    ///
    /// ```no_run
    /// # use roost::{Error, Presence, Workspace, json::json};
    /// # fn looks(workspace: &Workspace) -> Result<(), Error> {
    /// let cakes = workspace.document("plum cakes")?;
    /// workspace.show(Some(Presence { document: Some(cakes.id()), state: json!({ "line": 12 }) }))?;
    /// for device in workspace.devices() {
    ///     println!("{:?} looks at {:?}", device.name, device.looks_at);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn show(&self, presence: Option<Presence>) -> Result<(), Error> {
        self.with(|replica| replica.show(presence))?;
        self.poke();
        Ok(())
    }

    /// Waits until everything here is durable on the server and everything there is here.
    pub async fn wait_synced(&self, timeout: Duration) -> Result<(), Error> {
        self.hurry().await?;
        self.wait_until(timeout, |status| status.synced).await
    }

    /// Waits until everything the server has is here and verified, whatever waits here to be sent: who is in, for one, is
    /// then as new as the server tells it.
    pub async fn wait_caught_up(&self, timeout: Duration) -> Result<(), Error> {
        self.hurry().await?;
        self.wait_until(timeout, |status| status.caught_up).await
    }

    /// Who polls comes by at once, rather than when it is time.
    pub(crate) async fn hurry(&self) -> Result<(), Error> {
        self.inner.commands.send(Command::Hurry).await.map_err(|_| Error::Closed)
    }

    /// Waits until `holds`, however often things change on the way.
    pub async fn wait_until(&self, timeout: Duration, holds: impl Fn(&Status) -> bool) -> Result<(), Error> {
        let mut views = self.watch_status();
        let waiting = async {
            loop {
                views.borrow_and_update();
                if holds(&self.sure_status().await?) {
                    return Ok(());
                }
                if self.inner.commands.is_closed() {
                    return Err(Error::Closed);
                }
                views.changed().await.map_err(|_| Error::Closed)?;
            }
        };
        tokio::time::timeout(timeout, waiting).await.map_err(|_| Error::TimedOut)?
    }

    /// Syncs in the background from now on, also after a restart.
    pub async fn resume(&self) -> Result<(), Error> {
        self.is_open()?;
        self.with(|replica| replica.set_paused(false))?;
        self.start_sync().await
    }

    fn is_open(&self) -> Result<(), Error> {
        if self.inner.commands.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    pub(crate) async fn start_sync(&self) -> Result<(), Error> {
        self.inner.commands.send(Command::Start).await.map_err(|_| Error::Closed)
    }

    /// Stops syncing until [`Workspace::resume`], also after a restart. Edits go on, and are kept.
    pub async fn pause(&self) -> Result<(), Error> {
        self.is_open()?;
        self.with(|replica| replica.set_paused(true))?;
        self.inner.commands.send(Command::Pause).await.map_err(|_| Error::Closed)
    }

    /// Ends sync and waits for it to end; who follows documents, records or queries comes to an end, too. Clones of this handle still read and edit; they no longer sync.
    pub async fn close(self) {
        let _ = self.inner.commands.send(Command::Stop).await;
        let worker = self.inner.worker.lock().take();
        if let Some(worker) = worker {
            let _ = worker.await;
        }
    }

    /// Uses another address of the same server, or another server, from the next opening on.
    pub fn set_server(&self, server: &str, allow_http: bool) -> Result<(), Error> {
        let server = crate::transport::origin(server, allow_http)?;
        Ok(self.with(|replica| replica.set_server(&server))?)
    }

    pub(crate) fn on_server(&self) -> &Server {
        &self.inner.server
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.shared.clock.now_ms()
    }
}
