//! What can go wrong, in the app's terms.

use std::path::PathBuf;

use roost_shared::roster::ChainError;
use roost_shared::{Code, WorkspaceId};

use crate::api::collection::CollectionError;
use crate::api::version::VersionError;
use crate::keys::link::{LinkError, PasscodeError};
use crate::keys::recovery::PhraseError;
use crate::members::join::JoinError;
use crate::replica::{EditError, MembershipError, OpenError, PresenceTooLarge};
use crate::schema::{Fault, MigrationError, SchemaError};
use crate::store::StoreError;
use crate::transport::{AddressError, TransportError};

/// Everything the SDK can answer with instead of what was asked. Whatever it is, nothing that was saved is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The local store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step of the app's schema, when the workspace was opened. Nothing is lost: mend the step and open again, or open
    /// with the app of before.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The steps of the app's schema on this document took longer than the schema's patience. What still runs of them is
    /// not saved; until it ends the file is locked.
    #[error(
        "{0} was not migrated in time: nothing is lost; raise the schema's patience, or make the steps for it cheaper, and open again"
    )]
    MigrationTimedOut(String),
    /// The schema as it was declared.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The document never was at this version, as far as this device knows.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The version is from before a rewrite of the document.
    #[error(
        "version {0} is from before this document was rewritten for a newer app: read it, and bring over what is wanted"
    )]
    OldSchema(String),
    /// An edit or a look at a document.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// What this device was to show.
    #[error(transparent)]
    Presence(#[from] PresenceTooLarge),
    /// The way to the server, or its answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server's address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The share link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Who is in was not changed.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The server's roster is not that of the workspace in the link.
    #[error("the server's roster does not belong to this link ({0}): nothing was joined; do not use this server")]
    Roster(ChainError),
    /// The passcode.
    #[error(transparent)]
    Passcode(#[from] PasscodeError),
    /// The link wants a passcode.
    #[error("a passcode goes with this link: ask who shared it, and give it with the link (--passcode-stdin)")]
    PasscodeNeeded,
    /// The text is no recovery phrase.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// It is another workspace's phrase, or an older one.
    #[error("these words do not open this workspace: check them, and the workspace's id")]
    PhraseWrong,
    /// The link's invite is not in the roster, or does not open its key.
    #[error("the link does not open this workspace: ask for a new one")]
    LinkDead,
    /// No workspace of this id, or none at all, in the data directory.
    #[error("there is no workspace in {0}: create one (roost init) or join one (roost join)")]
    NoWorkspace(PathBuf),
    /// There is one already.
    #[error("{0} holds this workspace already: it syncs from there, and nothing was used up")]
    Exists(PathBuf),
    /// The data directory is to hold one workspace, and holds another.
    #[error("{dir} holds workspace {held} already, and one folder holds one: give another folder (--data-dir)")]
    FolderInUse {
        /// The data directory.
        dir: PathBuf,
        /// What it holds.
        held: WorkspaceId,
    },
    /// Nobody said which of the workspaces in the data directory is meant.
    #[error(
        "{0} holds more than one workspace: give each a folder of its own (what belongs to one begins with its id, and moves together)"
    )]
    SeveralWorkspaces(PathBuf),
    /// It did not happen in time. It may still.
    #[error("not finished in time: everything is safe here, and goes on at the next sync")]
    TimedOut,
    /// The workspace was closed.
    #[error("the workspace is closed")]
    Closed,
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::Store(error),
            OpenError::Migration(error) => Self::Migration(error),
        }
    }
}

impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Transport(error) => Self::Transport(error),
            JoinError::Roster(error) => Self::Roster(error),
            JoinError::LinkDead => Self::LinkDead,
            JoinError::PhraseWrong => Self::PhraseWrong,
            JoinError::NoKey => Self::Membership(MembershipError::NoKey),
            JoinError::TimedOut => Self::TimedOut,
        }
    }
}

impl Error {
    /// A stable name for the cause; the server's own code where it gave one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error)
            | Self::Edit(EditError::Store(error))
            | Self::Membership(MembershipError::Store(error)) => error.code(),
            Self::Edit(EditError::NoKey) | Self::Membership(MembershipError::NoKey) => "no_key",
            Self::Migration(error) => error.fault.code(),
            Self::Collection(error) => error.code(),
            Self::Presence(_) => "presence_too_large",
            Self::Version(_) => "version_unknown",
            Self::OldSchema(_) => "version_old_schema",
            Self::MigrationTimedOut(_) => Fault::TimedOut.code(),
            Self::Schema(_) => "schema_malformed",
            Self::Edit(EditError::Behind { .. } | EditError::NeedsApp { .. }) => "behind_schema",
            Self::Edit(EditError::PeerChanged) => "peer_changed",
            Self::Edit(EditError::Loro(_)) => "edit_refused",
            Self::Edit(EditError::TooDeep) => "nested_too_deep",
            Self::Edit(EditError::TooLarge) => "value_too_large",
            Self::Edit(EditError::Detached) => "edit_detached",
            Self::Edit(EditError::Shallow) => "edit_shallow",
            Self::Edit(EditError::Unprovable) => "edit_unprovable",
            Self::Edit(EditError::Uncountable) => "counter_range",
            Self::Edit(EditError::OtherForm(_)) => "collection_form",
            Self::Edit(EditError::ReadOnly) => Code::NotAllowed.as_str(),
            Self::Edit(EditError::Unreadable(_)) => "document_unreadable",
            Self::Transport(TransportError::Unreachable(_)) => "unreachable",
            Self::Transport(TransportError::NotRoost(_)) => "not_roost",
            Self::Transport(TransportError::Audience { .. }) => Code::AudienceMismatch.as_str(),
            Self::Transport(TransportError::Refused { code, .. }) => code.as_str(),
            Self::Address(AddressError::Malformed(_)) => "address_malformed",
            Self::Address(AddressError::Insecure(_)) => "address_insecure",
            Self::Link(_) => "link_malformed",
            Self::Passcode(_) => "passcode_malformed",
            Self::PasscodeNeeded => "passcode_needed",
            Self::Phrase(_) => "phrase_malformed",
            Self::PhraseWrong => "phrase_wrong",
            Self::LinkDead => Code::LinkUnavailable.as_str(),
            Self::Roster(_) => Code::RosterInvalid.as_str(),
            Self::Membership(MembershipError::NotOwner) => "not_owner",
            Self::Membership(MembershipError::NoDevice(_)) => "no_device",
            Self::Membership(MembershipError::OwnDevice) => "own_device",
            Self::Membership(MembershipError::Full) => "roster_full",
            Self::Membership(MembershipError::Busy) => Code::RosterMoved.as_str(),
            Self::NoWorkspace(_) => "no_workspace",
            Self::Exists(_) => Code::WorkspaceExists.as_str(),
            Self::FolderInUse { .. } => "folder_in_use",
            Self::SeveralWorkspaces(_) => "several_workspaces",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
        }
    }

    /// Whether the same call may succeed later without anything else changing.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(TransportError::Unreachable(_)) | Self::TimedOut => true,
            Self::Transport(TransportError::Refused { code, .. }) => code.is_retryable(),
            Self::Membership(MembershipError::Busy) => true,
            Self::Store(error)
            | Self::Edit(EditError::Store(error))
            | Self::Membership(MembershipError::Store(error)) => error.is_retryable(),
            _ => false,
        }
    }
}
