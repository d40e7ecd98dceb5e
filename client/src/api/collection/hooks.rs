//! What an app runs before and after its own writes.

use std::any::TypeId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::record::RecordId;
use crate::api::workspace::Workspace;

type Before<T> = Arc<dyn Fn(&mut Writing<'_, T>) -> Result<(), String> + Send + Sync>;
type After<T> = Arc<dyn Fn(&Writing<'_, T>) + Send + Sync>;

/// A write of this process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Writing<'a, T> {
    /// A record is added.
    Create {
        /// Its id.
        id: &'a RecordId,
        /// What it will hold.
        record: &'a mut T,
    },
    /// A record is changed.
    Update {
        /// Its id.
        id: &'a RecordId,
        /// What it holds.
        before: &'a T,
        /// What it will hold.
        record: &'a mut T,
    },
    /// A record is deleted.
    Delete {
        /// Its id.
        id: &'a RecordId,
        /// What it holds.
        record: &'a T,
    },
}

/// The hooks of one collection.
pub(crate) struct Hooks<T> {
    before: Mutex<Vec<(u64, Before<T>)>>,
    after: Mutex<Vec<(u64, After<T>)>>,
    count: AtomicU64,
}

/// Dropping it ends the hook.
pub struct HookGuard {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for HookGuard {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl<T> Default for Hooks<T> {
    fn default() -> Self {
        Self { before: Mutex::default(), after: Mutex::default(), count: AtomicU64::new(0) }
    }
}

impl<T: 'static> Hooks<T> {
    pub(super) fn before(
        hooks: &Arc<Self>,
        hook: impl Fn(&mut Writing<'_, T>) -> Result<(), String> + Send + Sync + 'static,
    ) -> HookGuard {
        let number = hooks.count.fetch_add(1, Ordering::Relaxed);
        hooks.before.lock().push((number, Arc::new(hook)));
        guard(hooks, move |hooks| hooks.before.lock().retain(|(held, _)| *held != number))
    }

    pub(super) fn after(hooks: &Arc<Self>, hook: impl Fn(&Writing<'_, T>) + Send + Sync + 'static) -> HookGuard {
        let number = hooks.count.fetch_add(1, Ordering::Relaxed);
        hooks.after.lock().push((number, Arc::new(hook)));
        guard(hooks, move |hooks| hooks.after.lock().retain(|(held, _)| *held != number))
    }

    /// In the order they were added; the first that refuses ends it.
    pub(super) fn ask(&self, writing: &mut Writing<'_, T>) -> Result<(), String> {
        let hooks: Vec<Before<T>> = self.before.lock().iter().map(|(_, hook)| Arc::clone(hook)).collect();
        hooks.iter().try_for_each(|hook| hook(writing))
    }

    pub(super) fn tell(&self, writing: &Writing<'_, T>) {
        let hooks: Vec<After<T>> = self.after.lock().iter().map(|(_, hook)| Arc::clone(hook)).collect();
        hooks.iter().for_each(|hook| hook(writing));
    }

    pub(super) fn tells_nobody(&self) -> bool {
        self.after.lock().is_empty()
    }
}

fn guard<T: 'static>(hooks: &Arc<Hooks<T>>, end: impl FnOnce(&Hooks<T>) + Send + Sync + 'static) -> HookGuard {
    let hooks: Weak<Hooks<T>> = Arc::downgrade(hooks);
    HookGuard {
        end: Some(Box::new(move || {
            if let Some(hooks) = hooks.upgrade() {
                end(&hooks);
            }
        })),
    }
}

impl Workspace {
    /// The hooks of a type of record.
    pub(super) fn hooks<T: 'static>(&self) -> Arc<Hooks<T>> {
        let mut hooks = self.hooks_by_type().lock();
        let held = hooks.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(Hooks::<T>::default()));
        Arc::clone(held).downcast().unwrap_or_default()
    }
}
