//! The tasks that a fold has in memory, and what the tables hold of each.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::entry::Entry;
use super::task_row::Cells;

/// A task, and what is written of it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) entry: Entry,
    pub(super) row: TaskRow,
    /// It waits for others, or did, and the rows that say so are not written.
    pub(super) waits: bool,
}

/// What the table holds of a task.
#[derive(Debug)]
pub(super) enum TaskRow {
    /// Nothing yet.
    Missing,
    /// The task as it is.
    Same,
    /// The task as it was.
    Behind(Box<Cells>),
}

/// Tasks by their keys, side by side in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: HashMap<u64, usize, BuildHasherDefault<Spread>>,
    slots: Vec<Option<Slot>>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn holds(&self, key: u64) -> bool {
        self.places.contains_key(&key)
    }

    /// Where the task of this key is.
    pub(super) fn place_of(&self, key: u64) -> Option<usize> {
        self.places.get(&key).copied()
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Slot> {
        self.slots.get_mut(place)?.as_mut()
    }

    /// Puts a task that is not there yet, and says where it is.
    #[inline]
    pub(super) fn put(&mut self, slot: Slot) -> usize {
        let place = self.slots.len();
        self.places.insert(slot.entry.key, place);
        self.slots.push(Some(slot));
        place
    }

    pub(super) fn take(&mut self, key: u64) -> Option<Slot> {
        self.slots.get_mut(self.places.remove(&key)?)?.take()
    }

    /// The places of those that are wanted, in the order of their keys.
    pub(super) fn sorted(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        let wanted =
            slots.filter_map(|(place, slot)| Some((slot.as_ref().filter(|slot| wanted(slot))?, place)));
        let mut wanted: Vec<(u64, usize)> = wanted.map(|(slot, place)| (slot.entry.key, place)).collect();
        wanted.sort_unstable();
        wanted.into_iter().map(|(_, place)| place).collect()
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&Slot) -> bool) {
        for slot in &mut self.slots {
            if let Some(gone) = slot.take_if(|slot| !stays(slot)) {
                self.places.remove(&gone.entry.key);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.slots.clear();
    }
}

impl Slot {
    #[inline]
    pub(super) fn new(entry: Entry, row: TaskRow) -> Self {
        let waits = matches!(row, TaskRow::Missing) && !entry.state.waits_for.is_empty();
        Self { entry, row, waits }
    }

    /// Remembers what the row holds, before the task changes.
    pub(super) fn note(&mut self) {
        self.waits |= !self.entry.state.waits_for.is_empty();
        if let TaskRow::Same = self.row {
            self.row = TaskRow::Behind(Box::new(Cells::of(&self.entry)));
        }
    }
}

/// Hashes positions, which are all different and which nobody chooses, by one multiplication.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio in 64 bits. Its upper half is the better one, and the table looks at both ends.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
