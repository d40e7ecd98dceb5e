//! The way in: open a data directory, then create, open or join workspaces.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use roost_shared::{LogId, WorkspaceId};

use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::clock::{Clock, SystemClock};
use crate::driver::native::network::Network;
use crate::keys::link::ShareLink;
use crate::keys::recovery::RecoveryPhrase;
use crate::keys::{EpochKey, KeyPair, Seed};
use crate::members::change::genesis;
use crate::members::join::Joiner;
use crate::members::recover::Recoverer;
use crate::replica::{MembershipError, Replica};
use crate::schema::{Progress, Schema};
use crate::store::{Durability, Identity, Store, StoreError};
use crate::transport::origin;
use crate::transport::server::Server;

/// Edits within this time are undone together.
const UNDO_PAUSE: Duration = Duration::from_secs(1);

/// Settings before anything is opened.
#[derive(Clone)]
pub struct Builder {
    data_dir: PathBuf,
    durability: Durability,
    allow_http: bool,
    paused: bool,
    one_workspace: bool,
    admission_key: Option<String>,
    schema: Schema,
    undo_pause: Duration,
    polling: Option<Duration>,
    progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    clock: Arc<dyn Clock>,
}

/// An open data directory. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), roost::Error> {
/// let roost = roost::Roost::builder("app-data").open().await?;
/// let workspace = roost.create_workspace("https://sync.example.org", "laptop").await?;
/// let notes = workspace.document("notes")?;
/// notes.edit(|loro| loro.get_text("text").insert(0, "hello"))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Roost {
    settings: Arc<Builder>,
}

impl Builder {
    /// When a commit is durable; see [`Durability`].
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Allows `http://` to servers beyond this machine. Tokens then cross the network in clear text.
    #[must_use]
    pub const fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Opens workspaces without syncing, until [`Workspace::resume`]; so does one that was paused before.
    #[must_use]
    pub const fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// Keeps one workspace in the directory, for apps that have no use for more: where it holds one, nothing creates, joins
    /// or recovers another beside it, and nothing is asked of a server before that is known.
    #[must_use]
    pub const fn one_workspace(mut self, one: bool) -> Self {
        self.one_workspace = one;
        self
    }

    /// The key a server asks of those who create workspaces.
    #[must_use]
    pub fn admission_key(mut self, key: Option<String>) -> Self {
        self.admission_key = key;
        self
    }

    /// Edits of this device that follow on each other within this time are undone together: one second, unless this says
    /// otherwise.
    #[must_use]
    pub const fn undo_pause(mut self, pause: Duration) -> Self {
        self.undo_pause = pause;
        self
    }

    /// Looks at the server every so often, rather than to keep a socket open: for apps that need not know at once.
    #[must_use]
    pub const fn poll_every(mut self, every: Duration) -> Self {
        self.polling = Some(every);
        self
    }

    /// The app's schema. Documents are brought to its newest version when a workspace is opened.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Told how far migrations are, while a workspace is opened.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    /// Opens the directory; makes it if it is not there. Never needs the network.
    #[expect(clippy::unused_async, reason = "callers await whatever opens")]
    pub async fn open(self) -> Result<Roost, Error> {
        self.schema.check()?;
        let dir = &self.data_dir;
        std::fs::create_dir_all(dir).map_err(|source| StoreError::of_io(dir, source))?;
        Ok(Roost { settings: Arc::new(self) })
    }
}

impl Roost {
    /// Settings for the workspaces under `data_dir`, one file each.
    pub fn builder(data_dir: impl Into<PathBuf>) -> Builder {
        Builder {
            data_dir: data_dir.into(),
            durability: Durability::default(),
            allow_http: false,
            paused: false,
            one_workspace: false,
            admission_key: None,
            schema: Schema::default(),
            undo_pause: UNDO_PAUSE,
            polling: None,
            progress: None,
            clock: Arc::new(SystemClock),
        }
    }

    fn path(&self, workspace: WorkspaceId) -> PathBuf {
        self.settings.data_dir.join(format!("{workspace}.db"))
    }

    fn server(&self, address: &str, admission_key: Option<String>) -> Result<Server, Error> {
        Ok(Server::new(Arc::new(Network::new()?), address, admission_key))
    }

    fn store(&self, workspace: WorkspaceId) -> Result<Store, Error> {
        Ok(Store::open(&self.path(workspace), self.settings.durability)?)
    }

    /// The workspaces in this directory, joins and recoveries that did not come to their end included.
    pub fn workspaces(&self) -> Result<Vec<WorkspaceId>, Error> {
        let dir: &Path = &self.settings.data_dir;
        let failed = |source| StoreError::of_io(dir, source);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".db"));
            let id: Option<WorkspaceId> = id.and_then(|id| id.parse().ok());
            found.extend(id);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The one workspace in this directory; an error if there is none, or more than one.
    pub async fn only_workspace(&self) -> Result<Workspace, Error> {
        let mut found = self.workspaces()?;
        if found.len() > 1 {
            let mut held = Vec::new();
            for id in found {
                if self.is_held(id)? {
                    held.push(id);
                }
            }
            found = held;
        }
        match found.as_slice() {
            [] => Err(Error::NoWorkspace(self.settings.data_dir.clone())),
            [only] => self.workspace(*only).await,
            [_, _, ..] => Err(Error::SeveralWorkspaces(self.settings.data_dir.clone())),
        }
    }

    /// Whether a file holds a workspace, and not what a join or a recovery began and did not end. One that is in use, newer
    /// or damaged may; of one that the machine does not let be looked at, nothing is said but that.
    fn is_held(&self, workspace: WorkspaceId) -> Result<bool, Error> {
        match Store::open(&self.path(workspace), self.settings.durability).and_then(|store| store.identity()) {
            Ok(identity) => Ok(identity.is_some_and(|identity| identity.joined)),
            Err(error @ StoreError::Fault { .. }) => Err(error.into()),
            Err(_) => Ok(true),
        }
    }

    /// Every way in asks this first: the directory takes the workspace beside what it holds, or refuses it.
    fn admits(&self, workspace: WorkspaceId) -> Result<(), Error> {
        if !self.settings.one_workspace {
            return Ok(());
        }
        for held in self.workspaces()?.into_iter().filter(|held| *held != workspace) {
            if self.is_held(held)? {
                return Err(Error::FolderInUse { dir: self.settings.data_dir.clone(), held });
            }
        }
        Ok(())
    }

    /// Opens a workspace of this directory, and syncs it in the background.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Workspace, Error> {
        let none = || Error::NoWorkspace(self.settings.data_dir.clone());
        if !self.path(id).exists() {
            return Err(none());
        }
        let (roost, store) = (self.clone(), self.store(id)?);
        let patience = self.settings.schema.patience_at_most();
        let (given_up, last) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(String::new())));
        let (is_given_up, told_last) = (Arc::clone(&given_up), Arc::clone(&last));
        let opened = tokio::task::spawn_blocking(move || {
            let settings = &roost.settings;
            let mut watch = |progress: Progress| {
                if let Progress::Document { name, .. } = &progress {
                    told_last.lock().clone_from(name);
                }
                if let Some(told) = &settings.progress {
                    told(progress);
                }
                if is_given_up.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            Replica::open_watched(store, Arc::clone(&settings.clock), settings.schema.clone(), &mut watch)
        });
        // A step that hangs keeps nobody waiting; when it ends after all, what it did is not saved.
        let Ok(opened) = tokio::time::timeout(patience, opened).await else {
            given_up.store(true, Ordering::Relaxed);
            return Err(Error::MigrationTimedOut(last.lock().clone()));
        };
        let mut replica = opened.map_err(|_| Error::Closed)??.ok_or_else(none)?;
        replica.poll_every(self.settings.polling.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX)));
        let is_paused = self.settings.paused || replica.store().is_paused()?;
        replica.set_undo_pause(u64::try_from(self.settings.undo_pause.as_millis()).unwrap_or(u64::MAX));
        let server = self.server(&replica.identity().server, self.settings.admission_key.clone())?;
        let workspace = Workspace::start(replica, server, Arc::clone(&self.settings.clock));
        if !is_paused {
            workspace.start_sync().await?;
        }
        Ok(workspace)
    }

    /// Creates a workspace that will be kept on `server`. It is usable at once; the server learns of it when it is
    /// reached. This device is its owner.
    pub async fn create_workspace(&self, server: &str, name: &str) -> Result<Workspace, Error> {
        let server = origin(server, self.settings.allow_http)?;
        let clock = &*self.settings.clock;
        let (owner_seed, device_seed) = (Seed::new(clock.random()), Seed::new(clock.random()));
        let (owner, device) = (KeyPair::owner(&owner_seed), KeyPair::device(&device_seed));
        let workspace = owner.workspace_id();
        self.admits(workspace)?;
        let key = EpochKey::new(workspace, 1, clock.random());
        let first = genesis(clock, &owner, &key, &device, name).map_err(|_| MembershipError::NoKey)?;
        let identity = Identity {
            workspace,
            server,
            name: name.to_owned(),
            device_seed,
            owner_seed: Some(owner_seed),
            invite: None,
            joined: true,
        };
        let mut store = self.store(workspace)?;
        if let Err(error) = store.create(&identity, LogId(clock.random()), &[first]) {
            store.discard(); // nobody would come back to a workspace that has no file
            return Err(error.into());
        }
        drop(store);
        self.workspace(workspace).await
    }

    /// Takes a workspace over on a new device by its recovery phrase: every device but those named in `keep` is out, and
    /// everything the server has is read again. May be called again after a crash or a lost answer.
    pub async fn recover(
        &self,
        server: &str,
        workspace: WorkspaceId,
        phrase: &RecoveryPhrase,
        name: &str,
        keep: &[String],
    ) -> Result<Workspace, Error> {
        self.admits(workspace)?;
        let server = origin(server, self.settings.allow_http)?;
        let mut store = self.store(workspace)?;
        let stretching = phrase.clone();
        let keys = tokio::task::spawn_blocking(move || stretching.keys(workspace)).await.map_err(|_| Error::Closed)?;
        let on_server = self.server(&server, None)?;
        // The device's seed is durable before the server hears of it: a lost answer finds the same device again.
        let device_seed = match store.identity()? {
            Some(identity) if identity.joined => return Err(Error::Exists(self.path(workspace))),
            Some(identity) => identity.device_seed,
            None => {
                let device_seed = Seed::new(self.settings.clock.random());
                let recoverer = Recoverer { keys: &keys, device: &KeyPair::device(&device_seed), name, keep };
                let (_, owner_seed) = recoverer.fetch(&on_server, workspace).await?;
                let identity = Identity {
                    workspace,
                    server: server.clone(),
                    name: name.to_owned(),
                    device_seed: device_seed.clone(),
                    owner_seed: Some(owner_seed),
                    invite: None,
                    joined: false,
                };
                store.create(&identity, LogId::ZERO, &[])?;
                device_seed
            }
        };
        let device = KeyPair::device(&device_seed);
        let recoverer = Recoverer { keys: &keys, device: &device, name, keep };
        let (chain, _) = recoverer.take_over(&*self.settings.clock, &on_server, workspace).await?;
        store.join(chain.records(), true)?;
        drop(store);
        self.workspace(workspace).await
    }

    /// Joins a workspace by a share link, which is used up. May be called again with the same link after a crash or a
    /// lost answer, for ten minutes.
    pub async fn join(&self, link: &ShareLink, name: &str) -> Result<Workspace, Error> {
        if link.needs_passcode() {
            return Err(Error::PasscodeNeeded); // a try without one would count as a wrong one
        }
        let workspace = link.workspace();
        self.admits(workspace)?;
        let server = origin(link.server().as_str(), self.settings.allow_http)?;
        let mut store = self.store(workspace)?;
        // Durable before the link is used: a lost answer is given again to this device alone.
        let identity = match store.identity()? {
            Some(identity) if identity.joined => return Err(Error::Exists(self.path(workspace))),
            Some(identity) => {
                store.set_invite(link.invite())?;
                store.set_server(&server)?; // the first try may have gone to an address that was wrong
                identity
            }
            None => {
                let identity = Identity {
                    workspace,
                    server: server.clone(),
                    name: name.to_owned(),
                    device_seed: Seed::new(self.settings.clock.random()),
                    owner_seed: None,
                    invite: Some(link.invite().clone()),
                    joined: false,
                };
                store.create(&identity, LogId::ZERO, &[])?;
                identity
            }
        };
        let on_server = self.server(&server, None)?;
        let device = KeyPair::device(&identity.device_seed);
        let joiner = Joiner { invite: link.invite(), device: &device, name: &identity.name };
        let chain = joiner.take_place(&*self.settings.clock, &on_server, workspace).await?;
        store.join(chain.records(), true)?;
        drop(store);
        self.workspace(workspace).await
    }
}
