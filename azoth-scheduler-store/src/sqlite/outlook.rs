//! What the writer remembers of when tasks can be claimed, so that a claim need not ask for it.
//!
//! It was read once, and is kept true by the rows that the writer itself writes. So it holds as long as nobody else writes, as
//! everything in [`Memory`](super::memory::Memory) does. What is not known here is asked of the indexes.

use std::collections::BTreeMap;

use azoth_scheduler_core::decide::SUSPECT_LOSSES;

use super::due_task::Due;
use super::front::{First, Front};
use super::task_row::Cells;

/// A lane: a task type and a level, as their cells.
pub(super) type LaneKey = (i64, i64);

/// Which lanes of the due index, which suspects and which pauses there are.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    lanes: BTreeMap<LaneKey, Front>,
    forgotten: u64,
    no_suspects: bool,
    no_pauses: bool,
}

/// Where a task stands among those that wait to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) lane: LaneKey,
    /// From when it may be claimed.
    pub(super) ready: i64,
    /// Suspects have an index of their own.
    is_suspect: bool,
}

impl Turn {
    /// That of a row; `None` for one that does not wait, or of which only the line of its key knows.
    pub(super) fn of(cells: &Cells) -> Option<Self> {
        let is_suspect = cells.losses >= i64::from(SUSPECT_LOSSES);
        cells.ready.map(|ready| Self { lane: (cells.type_key, cells.priority), ready, is_suspect })
    }
}

impl Outlook {
    /// When the first task of a lane is ready, where something is known of it.
    pub(super) fn first(&self, lane: LaneKey) -> Option<First> {
        self.lanes.get(&lane).map(Front::first)
    }

    /// Takes out what is known of a lane, for a claim that goes along it.
    pub(super) fn take(&mut self, lane: LaneKey) -> Front {
        self.lanes.remove(&lane).unwrap_or_else(Front::unknown)
    }

    /// Gives back how lanes stand once all rows are written, unless all was forgotten since this many times.
    pub(super) fn give_back(&mut self, lanes: impl IntoIterator<Item = (LaneKey, Front)>, forgotten: u64) {
        if self.forgotten != forgotten {
            return;
        }
        let mut known: usize = self.lanes.values().map(Front::len).sum();
        for (lane, mut front) in lanes {
            if self.lanes.len() >= LANES_MAX {
                self.lanes.clear();
            }
            if known.saturating_add(front.len()) > KNOWN_MAX {
                front.shorten();
            }
            known = known.saturating_add(front.len());
            self.lanes.insert(lane, front);
        }
    }

    /// All was forgotten so many times.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Whether no task is a suspect.
    pub(super) fn has_no_suspects(&self) -> bool {
        self.no_suspects
    }

    /// There is none.
    pub(super) fn saw_no_suspects(&mut self) {
        self.no_suspects = true;
    }

    /// Whether no pause ends by itself.
    pub(super) fn has_no_pauses(&self) -> bool {
        self.no_pauses
    }

    /// None does.
    pub(super) fn saw_no_pauses(&mut self) {
        self.no_pauses = true;
    }

    /// The row of a task was written.
    pub(super) fn wrote(&mut self, before: Option<&Cells>, after: &Cells) {
        let (left, came) = (before.and_then(Turn::of), Turn::of(after));
        if left != came {
            left.iter().for_each(|turn| self.leaves(turn, after.key));
            came.iter().for_each(|turn| self.comes(turn, after));
        }
        self.no_pauses &= after.paused_until.is_none();
    }

    /// Rows were written that say more than their own task's turn.
    pub(super) fn forget(&mut self) {
        *self = Self { forgotten: self.forgotten.wrapping_add(1), ..Self::default() };
    }

    fn leaves(&mut self, turn: &Turn, key: i64) {
        if let Some(front) = self.lanes.get_mut(&turn.lane).filter(|_| !turn.is_suspect) {
            front.leaves((turn.ready, key));
        }
    }

    fn comes(&mut self, turn: &Turn, cells: &Cells) {
        self.no_suspects &= !turn.is_suspect;
        if let Some(front) = self.lanes.get_mut(&turn.lane).filter(|_| !turn.is_suspect)
            && let Some(due) = Due::of(cells)
        {
            front.comes(due);
        }
    }
}

/// No more lanes are remembered.
const LANES_MAX: usize = 4_096;
/// Of no more tasks it is remembered that their turn comes first.
const KNOWN_MAX: usize = 4_096;
