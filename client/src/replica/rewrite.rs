//! Rewrites: computed at the tail, appended if nobody was first, and in the document once the log has them.

use roost_shared::limits::{APPEND_BYTES_MAX, UPDATE_MAX};
use roost_shared::{Code, DocumentId, Kind};

use super::contain::{Broken, OpenDocument, contained};
use super::migrate::{OpenError, fault_of, next_rewrite};
use super::seal::Export;
use super::{EditError, Output, Replica, Work};
use crate::schema::{Failed, Fault, MigrationError, gate};
use crate::store::StoreError;
use crate::sync::{Event, Notice};

impl Replica {
    /// At rest, the next document that waits for it is rewritten.
    pub(super) fn look_for_rewrites(&mut self) {
        let looked = self.rewrite_soon();
        if let Err(error) = self.noting(looked) {
            tracing::error!(%error, "no rewrite now");
        }
    }

    fn rewrite_soon(&mut self) -> Result<(), StoreError> {
        if self.rewrites.is_empty() || self.is_broken || !self.work.is_empty() {
            return Ok(());
        }
        let Some(at) = self.machine.rewrite_at() else { return Ok(()) };
        self.rewriting = None;
        if self.ring.get(at.epoch).is_none() {
            return Ok(());
        }
        for id in self.rewrites.clone() {
            // Parts of something, or what a newer app wrote: until that is here the rewrite would miss it.
            if !self.store.waits(id)? {
                self.work.push_back(Work::Rewrite(id));
                break;
            }
        }
        Ok(())
    }

    /// Computes a rewrite and seals it on condition that nobody appends before it. The document has it once the log does.
    pub(super) fn rewrite(&mut self, id: DocumentId) -> Result<Vec<Output>, StoreError> {
        let Some(at) = self.machine.rewrite_at() else { return Ok(Vec::new()) };
        let Some(key) = self.ring.get(at.epoch).cloned() else { return Ok(Vec::new()) };
        if self.store.waits(id)? {
            return Ok(Vec::new()); // it came since: once that is merged
        }
        let Some(name) = self.name_of(id)? else { return Ok(Vec::new()) };
        let rewritten = match self.rewritten(id, &name) {
            Ok(rewritten) => rewritten,
            Err(OpenError::Store(error)) => return Err(error),
            Err(OpenError::Migration(error)) => {
                self.give_up(id, &error);
                return Ok(Vec::new());
            }
        };
        let Some((version, reader_min, update)) = rewritten else {
            self.rewrites.remove(&id);
            return Ok(Vec::new());
        };
        let export = Export { kind: Kind::Update, bytes: update, until: None, reader_min };
        let mut sealed = Vec::new();
        self.seal_blob(at, &key, id, export, &mut sealed);
        if sealed.iter().map(|sealed| sealed.row.bytes.len()).sum::<usize>() > APPEND_BYTES_MAX {
            let step = "rewrite".to_owned();
            self.give_up(id, &MigrationError { document: name, version, step, fault: Fault::TooLarge });
            return Ok(Vec::new());
        }
        for sealed in &mut sealed {
            sealed.row.if_tail = Some(at.base_size.0);
        }
        self.store.seal(&sealed)?;
        self.rewriting = Some(id);
        self.step(Event::Rewritten(sealed.into_iter().map(|sealed| sealed.row).collect()))
    }

    /// The server has no room for a rewrite: it is not tried again before the next opening.
    pub(super) fn track_rewrite(&mut self, notices: &[Notice]) {
        let has_no_room =
            |notice: &Notice| matches!(notice, Notice::Refused { code: Code::QuotaExceeded | Code::TooLarge });
        if let Some(id) = self.rewriting.filter(|_| notices.iter().any(has_no_room)) {
            self.rewrites.remove(&id);
        }
    }

    fn rewritten(&mut self, id: DocumentId, name: &str) -> Result<Option<(u32, u32, Vec<u8>)>, OpenError> {
        let schema = self.schema.clone();
        let fault = |(version, step, fault): Failed| -> OpenError {
            MigrationError { document: name.to_owned(), version, step, fault }.into()
        };
        let open = self.take_open(id).map_err(|error| match error {
            EditError::Store(error) => OpenError::Store(error),
            error => fault((schema.number(), "load".to_owned(), Fault::Unreadable(error.to_string()))),
        })?;
        let ran = contained(open, |open: &mut OpenDocument| -> Result<_, Failed> {
            let is_pending = open.loro.export_pending_updates().ok().flatten().is_some();
            let next = next_rewrite(&schema, name, &open.loro).filter(|_| !is_pending);
            let Some((version, rewrite)) = next else { return Ok(None) };
            let failed = |fault| (version, rewrite.to_string(), fault);
            let update = rewrite.run(&open.loro, id, version).map_err(failed)?;
            if update.len() > UPDATE_MAX {
                return Err(failed(Fault::TooLarge));
            }
            // As every device will look at it when it comes.
            let mut probe = OpenDocument::new();
            probe.loro = open.loro.fork();
            let taken = probe.take_in(&[], vec![update.clone()]);
            taken.map_err(|refusal| failed(fault_of(refusal)))?;
            Ok(Some((version, version.max(gate::reader_min(&open.loro)), update)))
        });
        match ran {
            Ok((open, rewritten)) => {
                self.keep(id, open);
                Ok(rewritten)
            }
            Err(Broken::Refused(failed)) => Err(fault(failed)),
            Err(Broken::Panicked(_)) => Err(fault((schema.number(), "rewrite".to_owned(), Fault::Panicked))),
        }
    }
}
