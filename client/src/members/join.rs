//! How a device takes an invite's place in the roster: the first time, and again on a server that forgot it.

use roost_shared::limits::ROSTER_CHAIN_MAX;
use roost_shared::roster::{ChainError, Record, Status};
use roost_shared::wire::http::{Base64, Redeem};
use roost_shared::{Code, WorkspaceId};

use super::change;
use crate::clock::Clock;
use crate::keys::KeyPair;
use crate::keys::link::Invite;
use crate::keys::ring::KeyRing;
use crate::sync::Chain;
use crate::transport::TransportError;
use crate::transport::server::Server;

/// Times a joiner builds its record anew because another came first.
const TRIES: usize = 8;

/// The reason why a device did not join, or did not recover the workspace.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The way to the server, or its answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server's roster is not that of the workspace.
    #[error("the server's roster does not belong to this workspace ({0})")]
    Roster(ChainError),
    /// The link's invite is not in the roster, or does not open its key.
    #[error("the link does not open this workspace")]
    LinkDead,
    /// It is another workspace's phrase, or an older one.
    #[error("these words do not open this workspace")]
    PhraseWrong,
    /// The owner's record cannot be built.
    #[error("no key of this workspace opens")]
    NoKey,
    /// Other records came first each time.
    #[error("not finished in time")]
    TimedOut,
}

/// A device that joins, and the invite it joins by.
pub struct Joiner<'a> {
    /// The invite of a share link.
    pub invite: &'a Invite,
    /// The device's own keys.
    pub device: &'a KeyPair,
    /// Its name.
    pub name: &'a str,
}

/// The place that a roster has for a joiner.
#[derive(Debug)]
pub enum Place {
    /// It is in already.
    Taken,
    /// The record to post.
    Open(Record),
    /// The invite is not open, or its key opens nothing.
    Dead,
}

impl Joiner<'_> {
    /// How the chain stands for this joiner.
    pub fn place(&self, clock: &dyn Clock, chain: &Chain) -> Place {
        let (roster, invite) = (chain.roster(), self.invite.keys());
        if roster.scope(self.device.device_id()).is_some() {
            return Place::Taken;
        }
        let open = roster.member(invite.device_id()).is_some_and(|found| found.device.status == Status::Invite);
        let ring = KeyRing::open(chain.records(), &[&invite]);
        match ring.get(roster.epoch()).filter(|_| open) {
            Some(key) => Place::Open(change::replace(clock, &invite, roster, key, self.device, self.name)),
            None => Place::Dead,
        }
    }

    /// What uses the link up for this device.
    pub fn redeem(&self, workspace: WorkspaceId) -> Redeem {
        Redeem {
            workspace,
            link_proof: Base64(self.invite.link_proof().to_vec()),
            access_proof: Base64(self.invite.access_proof().to_vec()),
            device: self.device.device_id(),
        }
    }

    /// Redeems the link, verifies what the server says, and takes the invite's place in the roster.
    pub async fn take_place(
        &self,
        clock: &dyn Clock,
        server: &Server,
        workspace: WorkspaceId,
    ) -> Result<Chain, JoinError> {
        match server.session(workspace, self.device).await {
            // An earlier try got through, and its answer was lost.
            Ok(token) => return verify(workspace, server.chain(workspace, &token.token).await?),
            // The server would never let this device in by the address in the link, which stays good for another try.
            Err(error @ TransportError::Audience { .. }) => return Err(error.into()),
            Err(_) => {}
        }
        let redeemed = server.redeem(&self.redeem(workspace)).await?;
        let mut records = redeemed.chain;
        for _ in 0..TRIES {
            let mut chain = verify(workspace, records)?;
            let record = match self.place(clock, &chain) {
                Place::Taken => return Ok(chain), // an earlier try got through
                Place::Open(record) => record,
                Place::Dead => return Err(JoinError::LinkDead),
            };
            match server.post_record(&record).await {
                Ok(_) => {
                    chain.push(record).map_err(JoinError::Roster)?;
                    return Ok(chain);
                }
                Err(error) if error.code() == Some(Code::RosterMoved) => {
                    records = server.chain(workspace, &redeemed.token.token).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(JoinError::TimedOut)
    }
}

/// Owner, chain and workspace id belong together, whatever the server says.
pub(crate) fn verify(workspace: WorkspaceId, records: Vec<Base64>) -> Result<Chain, JoinError> {
    let malformed = JoinError::Roster(ChainError::Rule("a record is malformed"));
    if records.len() > ROSTER_CHAIN_MAX {
        return Err(malformed);
    }
    let parsed: Result<Vec<Record>, _> = records.into_iter().map(|record| Record::parse(record.0)).collect();
    Chain::verify(workspace, parsed.map_err(|_| malformed)?).map_err(JoinError::Roster)
}
