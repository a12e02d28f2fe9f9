//! The lanes of an offer: due tasks in the order in which they are to be claimed.
//!
//! A lane is one task type at one priority level, and each lane is a seek in the index `azoth_p_due`. A slot goes to the
//! first level that has a due task, within it to the one that is ready for longest, then to the oldest task; every
//! [`FAIR_TURN`]th slot goes to the one that is ready for longest at any level, so that no level starves. A lane whose type
//! is at a limit or paused is not looked at.

use std::cmp::Reverse;

use azoth_scheduler_core::decide::SUSPECT_LOSSES;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::cell;
use super::due_task::{Due, instant};
use super::front::{First, Front};
use super::gate::Gates;
use super::memory::Memory;
use super::outlook::{LaneKey, Outlook};
use super::page;
use super::suspect;
use super::task_row::priority_code;
use crate::error::StoreError;

/// Every so many-th claim goes to the task that has been due for longest, whatever its priority.
const FAIR_TURN: u64 = 16;
/// The first page of a lane holds so many tasks, each further one twice as many.
const PAGE_FIRST: usize = 16;
/// No page of a lane holds more tasks.
const PAGE_MAX: usize = 256;

/// One seek in `azoth_p_due`.
pub(super) const EARLIEST: &str = "SELECT ready_ms FROM azoth_p_tasks INDEXED BY azoth_p_due
    WHERE ready_ms IS NOT NULL AND losses < 2 AND type = ?1 AND priority = ?2 ORDER BY ready_ms LIMIT 1";
// The index says the number in its own words.
const _: () = assert!(SUSPECT_LOSSES == 2);

/// When the next task of these types is due, whatever holds it back; two dozen tasks or a million, the cost is one seek a lane.
pub(super) fn oldest(conn: &Connection, types: &[u64]) -> Result<Option<Timestamp>, StoreError> {
    let mut earliest: Option<i64> = None;
    for type_key in types {
        for priority in Priority::ALL {
            earliest = earlier(earliest, earliest_of(conn, *type_key, priority)?);
        }
    }
    let suspect = suspect::next_due(conn, types.iter().copied())?;
    let earliest = earliest.map(instant).transpose()?;
    Ok([earliest, suspect].into_iter().flatten().min())
}

/// What a claim may reach for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A slot is free: whatever is due.
    Slots,
    /// None is: only what stands in a lane that is claimed ahead, and up to the first task there that is not to be.
    Ahead,
}

/// All lanes of an offer, the first level first.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    now: Timestamp,
    /// A task has moved to where it may not have been read.
    moved: bool,
    /// What is remembered had been forgotten so many times when it was taken over.
    forgotten: u64,
}

/// One task type at one level.
struct Lane {
    type_key: u64,
    priority: Priority,
    /// It may be claimed ahead.
    ahead: bool,
    front: Front,
    page: usize,
}

impl Lanes {
    /// The lanes of these types; of each it is said whether it is claimed ahead.
    pub(super) fn new(types: &[(u64, bool)], now: Timestamp) -> Self {
        let lanes = Priority::ALL.into_iter().flat_map(|priority| {
            types.iter().map(move |(type_key, ahead)| Lane {
                type_key: *type_key,
                priority,
                ahead: *ahead,
                front: Front::unknown(),
                page: PAGE_FIRST,
            })
        });
        Self { lanes: lanes.collect(), now, moved: false, forgotten: 0 }
    }

    /// Takes over what is remembered, so that it need not be read: the fronts of lanes, and tasks that stand in no row yet.
    /// Where the latter may not be all that is due, all rows are written.
    pub(super) fn foresee(&mut self, conn: &Connection, memory: &mut Memory) -> Result<(), StoreError> {
        let now = self.now.unix_ms();
        let quiet =
            |lane: &Lane| memory.outlook.first(lane.key()).is_some_and(|first| first.is_later_than(now));
        let fresh = self.lanes.iter().all(quiet).then(|| memory.fresh()).flatten();
        let fresh = fresh.map(|fresh| {
            fresh.into_iter().map(|(turn, key, id)| (turn.lane, Due::fresh(turn.ready, key, id)))
        });
        let fresh: Option<Vec<(LaneKey, Due)>> = fresh.map(Iterator::collect);
        if fresh.is_none() {
            memory.flush(conn)?;
        }
        for lane in &mut self.lanes {
            lane.front = memory.outlook.take(lane.key());
        }
        self.forgotten = memory.outlook.forgotten();
        for (key, due) in fresh.unwrap_or_default() {
            if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.key() == key) {
                lane.front.comes_unwritten(due, now);
            }
        }
        Ok(())
    }

    /// Keeps in mind how the lanes stand, once all rows are written.
    pub(super) fn note(self, outlook: &mut Outlook) {
        if !self.moved {
            let fronts = self.lanes.into_iter().map(|lane| (lane.key(), lane.front));
            outlook.give_back(fronts, self.forgotten);
        }
    }

    /// Takes the task that this turn goes to, and the key of its type. It is in memory then.
    pub(super) fn pop(
        &mut self,
        conn: &Connection,
        memory: &mut Memory,
        turn: u64,
        gates: &Gates,
        reach: Reach,
    ) -> Result<Option<(Due, u64)>, StoreError> {
        let fair = turn % FAIR_TURN == FAIR_TURN - 1;
        let mut best: Option<&mut Lane> = None;
        for lane in self.lanes.iter_mut().filter(|lane| gates.is_open(lane.type_key)) {
            let level_is_over = best.as_ref().is_some_and(|best| best.priority < lane.priority);
            if level_is_over && !fair {
                break;
            }
            let first = lane.first(conn, memory, self.now, reach)?.map(Reverse);
            if first.is_some() && first > best.as_ref().and_then(|best| best.front.next()).map(Reverse) {
                best = Some(lane);
            }
        }
        let Some(lane) = best else { return Ok(None) };
        Ok(lane.take_first(conn, memory)?.map(|due| (due, lane.type_key)))
    }

    /// The due index has changed: all lanes are read anew, first one task of each.
    pub(super) fn start_again(&mut self) {
        for lane in &mut self.lanes {
            (lane.front, lane.page) = (Front::unknown(), 1);
        }
    }

    /// A task has moved on: what was read does not tell any more what is due next.
    pub(super) fn something_moved(&mut self) {
        self.moved = true;
    }

    /// When the next task is due that no gate holds back; or when the gate before it opens by itself, if that is later.
    pub(super) fn next_due(
        &mut self,
        conn: &Connection,
        gates: &Gates,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut earliest = None;
        for (type_key, opens) in gates.openings() {
            let due = self.next_of_type(conn, type_key)?.map(|due| due.max(opens));
            earliest = [earliest, due].into_iter().flatten().min();
        }
        Ok(earliest)
    }

    /// When the next task of a type is ready, as the lanes stand.
    fn next_of_type(&mut self, conn: &Connection, type_key: u64) -> Result<Option<Timestamp>, StoreError> {
        let mut earliest = None;
        for lane in self.lanes.iter_mut().filter(|lane| lane.type_key == type_key) {
            let first = if self.moved { lane.sought(conn)? } else { lane.earliest(conn)? };
            earliest = earlier(earliest, first);
        }
        earliest.map(instant).transpose()
    }
}

impl Lane {
    fn key(&self) -> LaneKey {
        (cell::int(self.type_key), priority_code(self.priority))
    }

    /// The first task of the lane that may be claimed.
    fn first(
        &mut self,
        conn: &Connection,
        memory: &mut Memory,
        now: Timestamp,
        reach: Reach,
    ) -> Result<Option<&Due>, StoreError> {
        if reach == Reach::Ahead && !self.ahead {
            return Ok(None);
        }
        let now = now.unix_ms();
        self.fill(conn, memory, now)?;
        let first = self.front.next().filter(|due| due.ready <= now);
        Ok(first.filter(|due| reach == Reach::Slots || due.may_wait()))
    }

    /// Reads the next page when the last one is used up and more may be due.
    fn fill(&mut self, conn: &Connection, memory: &mut Memory, now: i64) -> Result<(), StoreError> {
        if self.front.next().is_some() || self.front.first().is_later_than(now) {
            return Ok(());
        }
        if self.front.is_strange {
            page::read_whole(conn, self.key(), self.page, now, &mut self.front, memory)?;
        } else {
            page::read(conn, self.key(), self.page, now, &mut self.front)?;
        }
        self.page = (self.page * 2).min(PAGE_MAX);
        Ok(())
    }

    /// Takes out the first task, and sees to it that it is in memory. Where it was not, those behind it are not either.
    fn take_first(&mut self, conn: &Connection, memory: &mut Memory) -> Result<Option<Due>, StoreError> {
        let Some(due) = self.front.take_next() else { return Ok(None) };
        if memory.bring(conn, &due.id, due.key()?)? && !self.front.is_strange {
            self.front.is_strange = true;
            self.front.read_again_behind(&due);
        }
        Ok(Some(due))
    }

    /// When the first task of the lane is ready: it is known, or it is one seek.
    fn earliest(&mut self, conn: &Connection) -> Result<Option<i64>, StoreError> {
        if let First::At(first) = self.front.first() {
            return Ok(first);
        }
        let first = self.sought(conn)?;
        self.front.read_to(first);
        Ok(first)
    }

    fn sought(&self, conn: &Connection) -> Result<Option<i64>, StoreError> {
        earliest_of(conn, self.type_key, self.priority)
    }
}

fn earliest_of(conn: &Connection, type_key: u64, priority: Priority) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached(EARLIEST)?;
    let mut rows = statement.query(params![cell::int(type_key), priority_code(priority)])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    [one, other].into_iter().flatten().min()
}
