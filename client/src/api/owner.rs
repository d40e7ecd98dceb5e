//! Who is in a workspace: shown on every device, changed by one that holds the owner key.

use std::time::Duration;

use roost_shared::DeviceId;
use roost_shared::hash::Hash;
use roost_shared::proof::compare_code;
use roost_shared::roster::{Device, Scope, Status as DeviceStatus};
use roost_shared::wire::http::{IssueToken, IssuedToken, TokenInfo};

use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::keys::KeyPair;
use crate::keys::link::ShareLink;
use crate::keys::recovery::RecoveryPhrase;
use crate::presence::board::Presence;
use crate::replica::Status;
use crate::replica::{MembershipError, Replica};

/// A device of the workspace, or an open invite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its id; of an invite, what [`Workspace::revoke`] withdraws it by.
    pub id: DeviceId,
    /// Its name, where this device can open it.
    pub name: Option<String>,
    /// What it may do.
    pub scope: Scope,
    /// Where it stands.
    pub status: DeviceStatus,
    /// When an open invite dies, ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// How many entries of the log it had read when it last told.
    pub seen_seq: Option<u64>,
    /// When that was, ms since 1970, by the server's clock.
    pub seen_at_ms: Option<u64>,
    /// What its person looks at just now, if it says so: [`Workspace::show`]. Gone at the latest twelve seconds after it was
    /// heard of last.
    pub looks_at: Option<Presence>,
}

/// What a share link is to allow.
#[derive(Debug, Clone)]
pub struct Sharing {
    scope: Scope,
    expires_in: Duration,
    passcode: Option<Secret>,
}

#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(…)")
    }
}

impl Sharing {
    /// A link for one more device with this scope; it lives a week.
    pub const fn new(scope: Scope) -> Self {
        Self { scope, expires_in: Duration::from_secs(7 * 24 * 60 * 60), passcode: None }
    }

    /// How long the link lives.
    #[must_use]
    pub fn expires_in(self, expires_in: Duration) -> Self {
        Self { expires_in, ..self }
    }

    /// What the joiner must know besides the link: told by another way, it makes a leaked link useless. Five wrong ones
    /// burn the link.
    #[must_use]
    pub fn passcode(self, passcode: &str) -> Self {
        Self { passcode: Some(Secret(passcode.to_owned())), ..self }
    }
}

impl ShareLink {
    /// [`ShareLink::with_passcode`], off the threads that serve others.
    async fn stretched(self, passcode: Secret) -> Result<Self, Error> {
        let stretching = tokio::task::spawn_blocking(move || self.with_passcode(&passcode.0));
        Ok(stretching.await.map_err(|_| Error::Closed)??)
    }
}

/// A share link, and what withdraws it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewLink {
    /// To be passed on, once.
    pub link: ShareLink,
    /// The invite's id.
    pub id: DeviceId,
    /// When it dies, ms since 1970.
    pub expires_at_ms: u64,
}

impl Workspace {
    /// Makes a share link that works once, until it expires. Needs the server: the invite counts once it is in
    /// the log.
    pub async fn share(&self, sharing: &Sharing, timeout: Duration) -> Result<NewLink, Error> {
        let expires_in_ms = u64::try_from(sharing.expires_in.as_millis()).unwrap_or(u64::MAX / 2);
        let expires_at_ms = self.now_ms() + expires_in_ms;
        let mut link = self.with(|replica| replica.new_link())?;
        if let Some(passcode) = sharing.passcode.clone() {
            link = link.stretched(passcode).await?;
        }
        let id = link.invite().keys().device_id();
        let invite = |replica: &mut Replica| replica.invite(link.invite(), sharing.scope, expires_at_ms);
        self.change_roster(timeout, invite, |replica| replica.held().roster().member(id).is_some()).await?;
        Ok(NewLink { id, link, expires_at_ms })
    }

    /// Sends a device away, or withdraws an open link. The same record begins a new epoch: what is written from then on
    /// it cannot open, even with the server's help. What it has, it keeps. Needs the owner key and the server.
    pub async fn revoke(&self, device: DeviceId, timeout: Duration) -> Result<(), Error> {
        let is_out = |found: &Device| found.status == DeviceStatus::Revoked;
        self.change_roster(timeout, |replica| replica.revoke(device), |replica| lists(replica, device, is_out)).await
    }

    /// Gives a device another name. Needs the owner key and the server.
    pub async fn rename(&self, device: DeviceId, name: &str, timeout: Duration) -> Result<(), Error> {
        let wanted = (device, Some(name.to_owned()));
        let is_named = |replica: &Replica| replica.device_names().contains(&wanted);
        self.change_roster(timeout, |replica| replica.rename(device, name), is_named).await
    }

    /// Lets a device write, or only read, from now on. Every other device judges its entries by this, whatever the server
    /// does. Needs the owner key and the server.
    pub async fn set_scope(&self, device: DeviceId, scope: Scope, timeout: Duration) -> Result<(), Error> {
        let has_scope = |found: &Device| found.scope == scope;
        let propose = |replica: &mut Replica| replica.set_scope(device, scope);
        self.change_roster(timeout, propose, |replica| lists(replica, device, has_scope)).await
    }

    /// A token for a client without device keys, such as a backup: it reads sealed bytes over HTTP and opens none. The
    /// server can read `label`. Needs the owner key and the server.
    pub async fn issue_token(&self, label: &str, expires_in: Duration) -> Result<IssuedToken, Error> {
        let issue = IssueToken { label: label.to_owned(), expires_in_s: expires_in.as_secs() };
        Ok(self.on_server().issue_token(self.id(), &self.master().await?, &issue).await?)
    }

    /// Lists the tokens for clients without device keys. Needs the owner key and the server.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, Error> {
        Ok(self.on_server().tokens(self.id(), &self.master().await?).await?)
    }

    /// Takes a token back: its next request is refused. Needs the owner key and the server.
    pub async fn withdraw_token(&self, id: Hash) -> Result<(), Error> {
        Ok(self.on_server().withdraw_token(self.id(), &self.master().await?, id).await?)
    }

    async fn master(&self) -> Result<String, Error> {
        let (device, owner) = self.with(|replica| (replica.device().clone(), replica.owner_seed().map(KeyPair::owner)));
        let owner = owner.ok_or(MembershipError::NotOwner)?;
        Ok(self.on_server().session_as(self.id(), &device, Some(&owner)).await?.token)
    }

    /// Makes a recovery phrase and puts what it opens into the roster; an earlier phrase no longer finds anything there,
    /// though a server that kept the old record may still have it. Show it once, and let the person write it down.
    /// Needs the owner key and the server.
    pub async fn create_recovery(&self, timeout: Duration) -> Result<RecoveryPhrase, Error> {
        let (phrase, workspace) = (self.with(|replica| replica.new_phrase()), self.id());
        let stretching = phrase.clone();
        let keys = tokio::task::spawn_blocking(move || stretching.keys(workspace));
        let keys = keys.await.map_err(|_| Error::Closed)?;
        let is_set = |replica: &Replica| {
            let owner = replica.held().roster().owner();
            owner.is_some_and(|owner| owner.recovery_verifier == keys.verifier())
        };
        self.change_roster(timeout, |replica| replica.set_recovery(&keys), is_set).await?;
        Ok(phrase)
    }

    /// Two devices that are synced and show the same code hold the same log and the same roster, whatever the server says.
    pub fn compare_code(&self) -> String {
        self.with(|replica| {
            let log = replica.machine().log();
            let (root, roster) = (log.frontier.root(), log.chain.roster().hash());
            compare_code(replica.identity().workspace, log.cursor(), &root, &roster)
        })
    }

    /// Everyone in the workspace, and who was.
    pub fn devices(&self) -> Vec<DeviceInfo> {
        self.with(|replica| {
            let names = replica.device_names();
            let members = replica.held().roster().members();
            let (log, seen) = (replica.machine().log().id, replica.machine().seen());
            let described = members.zip(names).map(|(member, (id, name))| DeviceInfo {
                id,
                // Numbers count within a log; the time stays.
                seen_seq: seen.get(&id).filter(|at| at.log == log).map(|at| at.size),
                seen_at_ms: seen.get(&id).map(|at| at.at_ms),
                looks_at: replica.presence_of(id).cloned(),
                name: name.filter(|name| !name.is_empty()),
                scope: member.device.scope,
                status: member.device.status,
                expires_at_ms: (member.device.status == DeviceStatus::Invite).then_some(member.device.not_after_ms),
            });
            described.collect()
        })
    }

    /// Proposes until it `holds`: another record may come first, and ours is then built anew. It needs the server's roster,
    /// and waits for nothing that this device has to send: a full workspace does not keep the owner from sending someone away.
    async fn change_roster(
        &self,
        timeout: Duration,
        propose: impl Fn(&mut Replica) -> Result<(), MembershipError>,
        holds: impl Fn(&Replica) -> bool,
    ) -> Result<(), Error> {
        if self.with(|replica| replica.owner_seed().is_none()) {
            return Err(MembershipError::NotOwner.into());
        }
        let changing = async {
            loop {
                self.hurry().await?;
                self.wait_until(timeout, |status: &Status| status.caught_up && self.is_settled()).await?;
                if self.with(|replica| holds(replica)) {
                    return Ok(());
                }
                match self.with(&propose) {
                    // Or another record is on its way: ours is built on it, once it is in.
                    Ok(()) | Err(MembershipError::Busy) => self.poke(),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        tokio::time::timeout(timeout, changing).await.map_err(|_| Error::TimedOut)?
    }

    /// Whether no roster record of ours is on its way.
    fn is_settled(&self) -> bool {
        self.with(|replica| !replica.machine().is_proposing() && !replica.held().roster().has_newcomer())
    }
}

fn lists(replica: &Replica, id: DeviceId, holds: impl Fn(&Device) -> bool) -> bool {
    replica.held().roster().member(id).is_some_and(|member| holds(&member.device))
}
