//! The way back when every owner device is gone: the twelve words, the server's chain, and a new device.

use roost_shared::WorkspaceId;
use roost_shared::roster::{Device, Status};
use roost_shared::wire::http::Base64;

use super::change::{Change, name_of, new_device, owner_record};
use super::join::{JoinError, verify};
use crate::clock::Clock;
use crate::keys::recovery::RecoveryKeys;
use crate::keys::ring::KeyRing;
use crate::keys::{KeyPair, Seed};
use crate::sync::Chain;
use crate::transport::server::Server;

/// How far a recovery leaps: above whatever epochs a device that is gone may have begun.
const EPOCH_LEAP: u32 = 1_000;
/// Times the record is built anew because another came first.
const TRIES: usize = 8;

/// Who recovers, and what stays.
pub struct Recoverer<'a> {
    /// From the phrase.
    pub keys: &'a RecoveryKeys,
    /// The new device.
    pub device: &'a KeyPair,
    /// Its name.
    pub name: &'a str,
    /// Names of devices that stay in; all others are revoked.
    pub keep: &'a [String],
}

impl Recoverer<'_> {
    /// The chain as the server has it, and the owner seed from its newest blob.
    pub async fn fetch(&self, server: &Server, workspace: WorkspaceId) -> Result<(Chain, Seed), JoinError> {
        let proof = Base64(self.keys.proof().to_vec());
        let chain = verify(workspace, server.recover(workspace, proof).await?)?;
        let blob = chain.roster().owner().map(|owner| owner.recovery_blob);
        let seed = blob.and_then(|blob| self.keys.open(&blob).ok()).ok_or(JoinError::PhraseWrong)?;
        // The blob is signed with the rest of its record; this says that it is this workspace's seed all the same.
        let is_owner = KeyPair::owner(&seed).workspace_id() == workspace;
        if is_owner { Ok((chain, seed)) } else { Err(JoinError::PhraseWrong) }
    }

    /// Puts the new device in and everyone else out, in an epoch far above; the chain with that record.
    pub async fn take_over(
        &self,
        clock: &dyn Clock,
        server: &Server,
        workspace: WorkspaceId,
    ) -> Result<(Chain, Seed), JoinError> {
        for _ in 0..TRIES {
            let (mut chain, seed) = self.fetch(server, workspace).await?;
            if chain.roster().scope(self.device.device_id()).is_some() {
                return Ok((chain, seed)); // an earlier try got through
            }
            let owner = KeyPair::owner(&seed);
            let ring = KeyRing::open(chain.records(), &[&owner]);
            let change = self.change(&chain, &ring);
            let record = owner_record(clock, &owner, chain.roster(), &[&ring], &change);
            let record = record.map_err(|_| JoinError::NoKey)?;
            match server.post_record(&record).await {
                Ok(_) => {
                    chain.push(record).map_err(JoinError::Roster)?;
                    return Ok((chain, seed));
                }
                Err(error) if error.code() == Some(roost_shared::Code::RosterMoved) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(JoinError::TimedOut)
    }

    fn change(&self, chain: &Chain, ring: &KeyRing) -> Change {
        let roster = chain.roster();
        let stays = |device: &Device| name_of(ring, device).is_some_and(|name| self.keep.contains(&name));
        let is_in = |device: &Device| matches!(device.status, Status::Active | Status::Invite);
        let out = roster.members().map(|member| &member.device).filter(|device| is_in(device) && !stays(device));
        let mut amended: Vec<Device> = out.map(|device| Device { status: Status::Revoked, ..device.clone() }).collect();
        let key = ring.get(roster.epoch());
        amended.extend(key.map(|key| new_device(key, self.device, self.name)));
        Change { epoch: roster.epoch().saturating_add(EPOCH_LEAP), amended, recovery: None }
    }
}
