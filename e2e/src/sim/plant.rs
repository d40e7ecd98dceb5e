//! Bugs planted on purpose, to show that the simulator would find them. Each is a wrapper around something real.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plant {
    /// The server acknowledges before it commits; a crash loses the rest.
    AckBeforeCommit,
    /// A device stores its cursor, and the bytes below it in another transaction.
    CursorAheadOfBytes,
    /// A device sends again under a new number what may already be in the log.
    ResendUnderNewNumber,
    /// The server looks at the epoch before it looks whether it has the entry.
    EpochBeforeDedupe,
    /// The server forgets what it has.
    NoDedupe,
    /// Every opening of a document uses one Loro peer id.
    ReusedPeer,
    /// A device repairs the one refusal it was given, instead of by Resync.
    RepairOneByOne,
    /// A reader that was busy is not woken again.
    LostWake,
    /// The server looks at the log before it subscribes to its wake-ups.
    LookBeforeSubscribe,
    /// The server keeps what a device shows after the device's last socket closed.
    DeadPresence,
    /// A device's commit returns before it is durable.
    CommitNotDurable,
    /// Two devices redeem one link.
    RedeemTwice,
    /// The server ignores `if_tail` and the number's order, and takes whatever comes.
    NoAuthorOrder,
    /// The server does not look again whether a device is still in.
    RevokedStaysIn,
    /// The server takes a token for as long as it is shown.
    TokensNeverEnd,
    /// The server takes a link for as long as it is shown.
    LinksNeverEnd,
    /// To the server, who was a reader once stays one.
    OnceAReader,
    /// The server takes a link that was withdrawn.
    WithdrawnLinkOpens,
    /// A driver that is busy loses the outputs that the replica has for it.
    OutputDropped,
    /// The app migrates documents under one peer id on every device.
    MigrationPeerFixed,
    /// The app runs a step at every start that adds what is there already.
    StepNotRepeatable,
    /// The app keeps a document's version in one register.
    GateIsScalar,
    /// The app deletes the old content in the release that moves it.
    LegacyKeyDeleted,
}

impl Plant {
    /// Those of the server and of the SDK.
    pub const ALL: [Self; 19] = [
        Self::AckBeforeCommit,
        Self::CursorAheadOfBytes,
        Self::ResendUnderNewNumber,
        Self::EpochBeforeDedupe,
        Self::NoDedupe,
        Self::ReusedPeer,
        Self::RepairOneByOne,
        Self::LostWake,
        Self::LookBeforeSubscribe,
        Self::DeadPresence,
        Self::CommitNotDurable,
        Self::RedeemTwice,
        Self::NoAuthorOrder,
        Self::RevokedStaysIn,
        Self::TokensNeverEnd,
        Self::LinksNeverEnd,
        Self::OnceAReader,
        Self::WithdrawnLinkOpens,
        Self::OutputDropped,
    ];

    /// Those of an app that is released again and again.
    pub const VERSIONS: [Self; 4] =
        [Self::MigrationPeerFixed, Self::StepNotRepeatable, Self::GateIsScalar, Self::LegacyKeyDeleted];
}
