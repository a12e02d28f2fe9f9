//! How many executions may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The slots of one scheduler. An execution keeps its slot until its end is recorded, and a blocking one at least until
/// its thread returns; so neither threads nor unrecorded results outgrow the limit.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    taken: AtomicUsize,
    set_aside: AtomicUsize,
    /// A slot that was set aside came free.
    pub(crate) returned: Notify,
}

/// One slot, free again once the last holder of it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    set_aside: AtomicBool,
}

impl Slots {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            taken: AtomicUsize::new(0),
            set_aside: AtomicUsize::new(0),
            returned: Notify::new(),
        })
    }

    /// Takes a slot. Only the one loop takes slots, and never more than are free.
    pub(crate) fn take(self: &Arc<Self>) -> Arc<Slot> {
        let taken = self.taken.fetch_add(1, Ordering::AcqRel);
        debug_assert!(taken < self.max, "no more executions are started than there are slots");
        Arc::new(Slot { slots: Arc::clone(self), set_aside: AtomicBool::new(false) })
    }

    pub(crate) fn free(&self) -> usize {
        self.max.saturating_sub(self.taken())
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn set_aside(&self) -> usize {
        self.set_aside.load(Ordering::Acquire)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Slot {
    /// Its thread goes on although its outcome is settled.
    pub(crate) fn set_aside(&self) {
        if !self.set_aside.swap(true, Ordering::AcqRel) {
            self.slots.set_aside.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken.fetch_sub(1, Ordering::AcqRel);
        if *self.set_aside.get_mut() {
            self.slots.set_aside.fetch_sub(1, Ordering::AcqRel);
            self.slots.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_that_was_set_aside_is_taken_until_its_last_holder_is_gone() {
        let slots = Slots::new(2);
        let slot = slots.take();
        let thread = Arc::clone(&slot);
        slot.set_aside();
        drop(slot);
        assert_eq!((slots.free(), slots.set_aside()), (1, 1));
        drop(thread);
        assert_eq!((slots.free(), slots.set_aside()), (2, 0));
    }
}
