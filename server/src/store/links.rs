//! The rule of a redemption, shared by the stores that keep links as values.

use roost_shared::limits::{PASSCODE_TRIES_MAX, REDEEM_RETRY_MS};
use roost_shared::roster::{Record, RecordBody, Roster, Status};
use roost_shared::{Code, DeviceId, hash::Hash};

use super::{Redeem, Refusal};

/// A row of the link table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Finds the row.
    pub link_hash: Hash,
    /// Opens it.
    pub access_hash: Hash,
    /// The invite it belongs to.
    pub invite: DeviceId,
    /// When it dies.
    pub not_after_ms: u64,
    /// Who redeemed it, and when.
    pub redeemed: Option<(DeviceId, u64)>,
    /// Wrong access proofs so far.
    pub wrong: u32,
}

impl Link {
    /// Uses it up for `redeem.device`. One answer for every failure; the row may have changed in either case.
    pub fn redeem(&mut self, redeem: &Redeem) -> Result<(), Refusal> {
        let dead = redeem.now_ms > self.not_after_ms || self.wrong >= PASSCODE_TRIES_MAX;
        if dead {
            return Err(Code::LinkUnavailable.into());
        }
        if self.access_hash != redeem.access_hash {
            self.wrong += 1;
            return Err(Code::LinkUnavailable.into());
        }
        match self.redeemed {
            None => {
                self.redeemed = Some((redeem.device, redeem.now_ms));
                Ok(())
            }
            Some((device, at)) if device == redeem.device && redeem.now_ms <= at + REDEEM_RETRY_MS => Ok(()),
            Some(_) => Err(Code::LinkUnavailable.into()),
        }
    }
}

/// Whether the invite of a replace record may be used by its device: redeemed by it, or by nobody as far as this server
/// knows. A server restored from a backup is brought the records of joins it forgot, long after the links expired; and
/// whoever did not redeem the link was never given the chain that a record must be built on.
pub fn admit(link: Option<&Link>, record: &Record) -> Result<(), Refusal> {
    let RecordBody::Replace(replace) = &record.body else { return Ok(()) };
    let admits = link.is_none_or(|link| match link.redeemed {
        Some((device, _)) => device == replace.device,
        None => link.wrong < PASSCODE_TRIES_MAX,
    });
    if admits { Ok(()) } else { Err(Code::LinkUnavailable.into()) }
}

/// The invite a replace record uses.
pub const fn invite_of(record: &Record) -> Option<DeviceId> {
    match &record.body {
        RecordBody::Replace(replace) => Some(replace.invite),
        RecordBody::Owner(_) | RecordBody::Purge => None,
    }
}

/// The open invites of a roster, as fresh rows.
pub fn open_links(roster: &Roster) -> impl Iterator<Item = Link> {
    roster.members().map(|member| &member.device).filter(|device| device.status == Status::Invite).map(|device| Link {
        link_hash: device.link_hash,
        access_hash: device.access_hash,
        invite: device.id,
        not_after_ms: device.not_after_ms,
        redeemed: None,
        wrong: 0,
    })
}
