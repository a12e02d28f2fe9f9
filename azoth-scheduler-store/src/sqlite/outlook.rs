//! What the writer remembers of when tasks can be claimed, so that a claim need not ask for it.
//!
//! It was read once, and is kept true by the rows that the writer itself writes. So it holds as long as nobody else writes, as
//! everything in [`Memory`](super::memory::Memory) does. What is not known here is asked of the indexes.

use std::collections::HashMap;

use azoth_scheduler_core::decide::SUSPECT_LOSSES;

use super::task_row::Cells;

/// A lane: a task type and a level, as their cells.
pub(super) type LaneKey = (i64, i64);

/// Which lanes of the due index, which suspects and which pauses there are.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    lanes: HashMap<LaneKey, First>,
    no_suspects: bool,
    no_pauses: bool,
}

/// When the first task of a lane is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Then; `None` where nothing waits in the lane.
    At(Option<i64>),
    /// Not before then: the one that was ready then has moved.
    NotBefore(i64),
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

impl First {
    /// Whether no task of the lane is ready by then.
    pub(super) fn is_later_than(self, now: i64) -> bool {
        match self {
            First::At(first) => first.is_none_or(|first| first > now),
            First::NotBefore(first) => first > now,
        }
    }
}

impl Outlook {
    /// The first task of a lane, where something is known of it.
    pub(super) fn first(&self, lane: LaneKey) -> Option<First> {
        self.lanes.get(&lane).copied()
    }

    /// The lane was read: this is when its first task is ready.
    pub(super) fn saw(&mut self, lane: LaneKey, first: Option<i64>) {
        if self.lanes.len() >= LANES_MAX && !self.lanes.contains_key(&lane) {
            self.lanes.clear();
        }
        self.lanes.insert(lane, First::At(first));
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
            left.iter().for_each(|turn| self.leaves(turn));
            came.iter().for_each(|turn| self.comes(turn));
        }
        self.no_pauses &= after.paused_until.is_none();
    }

    /// Rows were written that say more than their own task's turn.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn leaves(&mut self, turn: &Turn) {
        if let Some(first) = self.lanes.get_mut(&turn.lane)
            && *first == First::At(Some(turn.ready))
        {
            *first = First::NotBefore(turn.ready);
        }
    }

    fn comes(&mut self, turn: &Turn) {
        self.no_suspects &= !turn.is_suspect;
        if let Some(first) = self.lanes.get_mut(&turn.lane).filter(|_| !turn.is_suspect) {
            let is_first = match *first {
                First::At(first) => first.is_none_or(|first| turn.ready <= first),
                First::NotBefore(first) => turn.ready <= first,
            };
            if is_first {
                *first = First::At(Some(turn.ready));
            }
        }
    }
}

/// No more lanes are remembered.
const LANES_MAX: usize = 4_096;
