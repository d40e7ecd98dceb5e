//! Rewrites: what every device computes alike, one device appends at the tail of the log, and the document has once the
//! log does.

use roost_shared::DocumentId;
use roost_shared::limits::UPDATE_MAX;

use super::migrator::{Migrator, OpenError};
use super::plan::{fault_of, next_rewrite};
use crate::documents::cache::Documents;
use crate::documents::contain::{Broken, contained};
use crate::documents::error::EditError;
use crate::documents::open::OpenDocument;
use crate::schema::{Failed, Fault, MigrationError, gate};
use crate::store::Store;

/// A rewrite of one document, to be appended.
pub(crate) struct Rewritten {
    /// The schema version whose rewrite it is.
    pub(crate) version: u32,
    /// The lowest schema version that may read the document then.
    pub(crate) reader_min: u32,
    pub(crate) update: Vec<u8>,
}

impl Migrator {
    /// Computes the next rewrite of a document; None if it lacks none, or has operations that wait for others.
    pub(crate) fn rewritten(
        &self,
        store: &mut Store,
        documents: &mut Documents,
        id: DocumentId,
        name: &str,
    ) -> Result<Option<Rewritten>, OpenError> {
        let schema = self.schema();
        let fault = |(version, step, fault): Failed| -> OpenError {
            MigrationError { document: name.to_owned(), version, step, fault }.into()
        };
        let open = documents.take_open(store, id).map_err(|error| match error {
            EditError::Store(error) => OpenError::Store(error),
            error => fault((schema.number(), "load".to_owned(), Fault::Unreadable(error.to_string()))),
        })?;
        let ran = contained(open, |open: &mut OpenDocument| -> Result<_, Failed> {
            let is_pending = open.loro.export_pending_updates().ok().flatten().is_some();
            let next = next_rewrite(schema, name, &open.loro).filter(|_| !is_pending);
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
            let reader_min = version.max(gate::reader_min(&open.loro));
            Ok(Some(Rewritten { version, reader_min, update }))
        });
        match ran {
            Ok((open, rewritten)) => {
                documents.keep(id, open);
                Ok(rewritten)
            }
            Err(Broken::Refused(failed)) => Err(fault(failed)),
            Err(Broken::Panicked(_)) => Err(fault((schema.number(), "rewrite".to_owned(), Fault::Panicked))),
        }
    }
}
