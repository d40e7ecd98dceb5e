//! Sending: sealed edits to the log, and rewrites at its tail.

use roost_shared::limits::APPEND_BYTES_MAX;
use roost_shared::{Code, DocumentId, Kind};

use super::Replica;
use super::driver::Work;
use crate::documents::cache::{Documents, Extent};
use crate::documents::held::HeldReason;
use crate::documents::seal::{Export, Exported, Sealer};
use crate::keys::EpochKey;
use crate::migrate::migrator::OpenError;
use crate::schema::{Fault, MigrationError};
use crate::store::{SealedRow, StoreError};
use crate::sync::{Event, Notice, OutboxRow, SealAt};

impl Replica {
    /// Seals until an Append is full; the rows are on the disk when this returns.
    /// The second value says whether there are edits that cannot be sealed now.
    pub(super) fn seal(&mut self, at: SealAt) -> Result<(Vec<OutboxRow>, bool), StoreError> {
        let edited = self.store.edited_documents()?;
        let Some(key) = self.sync.ring.get(at.epoch).cloned() else {
            let is_left = !edited.is_empty();
            self.left = edited.into_iter().map(|document| (document, HeldReason::NoKey)).collect();
            return Ok((Vec::new(), is_left));
        };
        self.left.clear();
        let mut sealed: Vec<SealedRow> = Vec::new();
        let (mut bytes, mut counted) = (0, 0);
        for document in edited {
            match self.documents.export(&mut self.store, self.migrator.schema(), document)? {
                Exported::Blob(export) => self.sealer(at, &key).seal(document, export, &mut sealed),
                Exported::Nothing => continue,
                Exported::Left(reason) => {
                    self.left.insert(document, reason);
                    continue;
                }
            }
            bytes += sealed[counted..].iter().map(|sealed| sealed.row.bytes.len()).sum::<usize>();
            counted = sealed.len();
            if bytes >= APPEND_BYTES_MAX / 2 {
                break;
            }
        }
        if bytes > 0 {
            self.store.seal(&sealed)?;
        }
        Ok((sealed.into_iter().map(|sealed| sealed.row).collect(), !self.left.is_empty()))
    }

    fn sealer<'a>(&'a self, at: SealAt, key: &'a EpochKey) -> Sealer<'a> {
        Sealer {
            at,
            key,
            device: &self.sync.device,
            workspace: self.sync.identity.workspace,
            schema: self.schema().number(),
            clock: &*self.clock,
        }
    }

    /// At rest, the next document that waits for it is rewritten.
    pub(super) fn look_for_rewrites(&mut self) {
        let looked = self.rewrite_soon();
        if let Err(error) = self.noting(looked) {
            tracing::error!(%error, "no rewrite now");
        }
    }

    fn rewrite_soon(&mut self) -> Result<(), StoreError> {
        if self.migrator.rewrites().is_empty() || self.sync.is_broken || !self.work.is_empty() {
            return Ok(());
        }
        let Some(at) = self.sync.machine.rewrite_at() else { return Ok(()) };
        self.rewriting = None;
        if self.sync.ring.get(at.epoch).is_none() {
            return Ok(());
        }
        for id in self.migrator.rewrites() {
            // Of a document that is partial, the rewrite would miss what is not here.
            if Documents::extent(&self.store, *id)? != Extent::Partial {
                self.work.push_back(Work::Rewrite(*id));
                break;
            }
        }
        Ok(())
    }

    /// Computes a rewrite and seals it on condition that nobody appends before it. The document has it once the log does.
    pub(super) fn rewrite(&mut self, id: DocumentId) -> Result<(), StoreError> {
        let Some(at) = self.sync.machine.rewrite_at() else { return Ok(()) };
        let Some(key) = self.sync.ring.get(at.epoch).cloned() else { return Ok(()) };
        if Documents::extent(&self.store, id)? == Extent::Partial {
            return Ok(()); // entries came since: once they are merged
        }
        let Some(name) = self.names.of(&mut self.store, &mut self.documents, id)? else { return Ok(()) };
        let rewritten = match self.migrator.rewritten(&mut self.store, &mut self.documents, id, &name) {
            Ok(rewritten) => rewritten,
            Err(OpenError::Store(error)) => return Err(error),
            Err(OpenError::Migration(error)) => {
                self.give_up_rewrite(id, &error);
                return Ok(());
            }
        };
        let Some(rewritten) = rewritten else {
            self.migrator.forget_rewrite(id);
            return Ok(());
        };
        let (version, reader_min) = (rewritten.version, rewritten.reader_min);
        let export = Export { kind: Kind::Update, bytes: rewritten.update, until: None, reader_min };
        let mut sealed = Vec::new();
        self.sealer(at, &key).seal(id, export, &mut sealed);
        if sealed.iter().map(|sealed| sealed.row.bytes.len()).sum::<usize>() > APPEND_BYTES_MAX {
            let step = "rewrite".to_owned();
            self.give_up_rewrite(id, &MigrationError { document: name, version, step, fault: Fault::TooLarge });
            return Ok(());
        }
        for sealed in &mut sealed {
            sealed.row.if_tail = Some(at.base_size.0);
        }
        self.store.seal(&sealed)?;
        self.rewriting = Some(id);
        self.step(Event::Rewritten(sealed.into_iter().map(|sealed| sealed.row).collect()))
    }

    fn give_up_rewrite(&mut self, id: DocumentId, error: &MigrationError) {
        let mut derived = Vec::new();
        let (migrator, mut desk) = self.migrating(&mut derived);
        migrator.give_up(&mut desk, id, error);
    }

    /// The server has no room for a rewrite: it is not tried again before the next opening.
    pub(super) fn track_rewrite(&mut self, notices: &[Notice]) {
        let has_no_room =
            |notice: &Notice| matches!(notice, Notice::Refused { code: Code::QuotaExceeded | Code::TooLarge });
        if let Some(id) = self.rewriting.filter(|_| notices.iter().any(has_no_room)) {
            self.migrator.forget_rewrite(id);
        }
    }
}
