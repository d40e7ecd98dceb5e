//! Loro at work on one document, contained: whatever it is given, it harms that document at most.
//!
//! A panic inside Loro poisons the document's locks, and its drop would panic again, which ends the process. So a
//! document goes into [`contained`] by value and comes back only if all went well; the store has the rest.

use std::any::Any;
use std::convert::Infallible;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loro::{LoroDoc, LoroError};

/// What Loro did not take.
pub(crate) enum Refusal {
    Loro(LoroError),
    TooDeep,
    /// One value that no update has room for.
    TooLarge,
    Shallow,
}

impl From<LoroError> for Refusal {
    fn from(error: LoroError) -> Self {
        Self::Loro(error)
    }
}

/// Why a document did not come back.
pub(crate) enum Broken<E> {
    Refused(E),
    Panicked(Box<dyn Any + Send>),
}

impl Broken<Refusal> {
    /// As a person who asks why an entry was put aside is told.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Loro(error)) => {
                tracing::warn!(%error, "Loro refuses an entry");
                "Loro refuses it"
            }
            Self::Refused(Refusal::TooDeep) => "it is nested too deep",
            Self::Refused(Refusal::TooLarge) => "one value in it is too large",
            Self::Refused(Refusal::Shallow) => "it is a snapshot without its history",
            Self::Panicked(_) => "Loro panics on it",
        }
    }
}

/// Has Loro work on a document.
pub(crate) fn contained<D, T, E>(mut open: D, work: impl FnOnce(&mut D) -> Result<T, E>) -> Result<(D, T), Broken<E>> {
    match catch_unwind(AssertUnwindSafe(|| work(&mut open))) {
        Ok(Ok(done)) => Ok((open, done)),
        Ok(Err(refused)) => Err(Broken::Refused(refused)),
        Err(panic) => {
            std::mem::forget(open);
            Err(Broken::Panicked(panic))
        }
    }
}

/// A panic of the app's own goes on; the document is loaded anew.
pub(crate) fn goes_on<T>(broken: Broken<Infallible>) -> T {
    match broken {
        Broken::Refused(never) => match never {},
        Broken::Panicked(panic) => resume_unwind(panic),
    }
}

/// Works on a document of its own, which is not dropped if Loro panics.
pub(crate) fn scratch<T>(work: impl FnOnce(&LoroDoc) -> Result<T, LoroError>) -> Result<T, LoroError> {
    let loro = ManuallyDrop::new(LoroDoc::new());
    let done = work(&loro);
    drop(ManuallyDrop::into_inner(loro));
    done
}
