//! Making derived tables from the log while others write: it is read in snapshots, and what it adds up to is written to shadows
//! in small transactions.

use rusqlite::Connection;

use super::aside::Aside;
use super::base::Base;
use super::place::Place;
use super::readers::in_snapshot;
use super::replay::{Replay, Stop};
use super::shadow::Shadow;
use crate::error::StoreError;

/// Shadows in the making.
pub(super) struct Making<'a> {
    place: &'a Place,
    conn: &'a Connection,
    pub(super) shadow: Shadow<'a>,
    replay: Replay,
}

impl<'a> Making<'a> {
    /// Makes the shadows and fills them with what the log begins with. Their names begin with these letters.
    pub(super) fn start(
        place: &'a Place,
        conn: &'a Connection,
        letters: &'static str,
    ) -> Result<Self, StoreError> {
        // What a fold adds up to meets the checks of the tables: a test holds rebuilt tables against them. To look at each of
        // them for each row would be a quarter of what a rebuild takes.
        conn.execute_batch(&format!(
            "PRAGMA cache_size = -{CACHE_KIB}; PRAGMA ignore_check_constraints = ON"
        ))?;
        let (shadow, base) =
            written(place, conn, || Ok((Shadow::create(conn, letters)?, Base::read(conn)?)))?;
        let mut after = 0;
        while let Some(next) = written(place, conn, || base.load_some(&shadow, after, ROWS_AT_ONCE as u32))? {
            after = next;
        }
        let replay = in_snapshot(conn, |_| Replay::behind(base.position, &shadow))?;
        Ok(Self { place, conn, shadow, replay })
    }

    /// The last event that was folded.
    pub(super) fn position(&self) -> u64 {
        self.replay.position()
    }

    /// Folds and writes up to here; says now and then how far it has come.
    pub(super) fn fold(&mut self, through: u64, mut told: impl FnMut(u64)) -> Result<(), StoreError> {
        while self.position() < through {
            let before = self.position();
            if self.replay.fold.takes_any_order() {
                self.fold_apart(through, &mut told)?;
            } else {
                self.fold_in_order(through)?;
            }
            if self.position() == before {
                // It is an event that writes by itself.
                let Self { place, conn, shadow, replay } = self;
                written(place, conn, || replay.advance(shadow, before.saturating_add(1)))?;
            }
            told(self.position());
        }
        Ok(())
    }

    /// The same inside a write transaction, for a few events.
    pub(super) fn fold_at_once(&mut self, through: u64) -> Result<(), StoreError> {
        self.replay.advance(&self.shadow, through)?;
        self.replay.fold.flush(&self.shadow)
    }

    /// Folds some tasks at a time: so many as there is room for, while the events of all others are put aside; then the others.
    /// Each row is written once.
    fn fold_apart(&mut self, through: u64, told: &mut impl FnMut(u64)) -> Result<(), StoreError> {
        let room = self.place.options.tasks_folded_at_once();
        let mut aside = Aside::new(&self.place.path, through, room as u64);
        let mut stop = Stop::There;
        while stop == Stop::There && self.position() < through {
            let Self { conn, shadow, replay, .. } = self;
            let page = through.min(replay.position().saturating_add(EVENTS_AT_ONCE));
            stop = in_snapshot(conn, |_| replay.read_apart(shadow, page, room, &mut aside))?;
            told(self.position().saturating_sub(aside.events()));
        }
        self.write_all()?;
        while let Some(part) = aside.next_part() {
            let Self { conn, shadow, replay, .. } = self;
            in_snapshot(conn, |_| replay.fold_part(shadow, &mut aside, part))?;
            self.write_all()?;
            told(self.position().saturating_sub(aside.events()));
        }
        Ok(())
    }

    fn fold_in_order(&mut self, through: u64) -> Result<(), StoreError> {
        let Self { conn, shadow, replay, .. } = self;
        in_snapshot(conn, |_| replay.read_in_order(shadow, through))?;
        self.write_all()
    }

    fn write_all(&mut self) -> Result<(), StoreError> {
        let Self { place, conn, shadow, replay } = self;
        for places in replay.fold.unwritten().chunks(ROWS_AT_ONCE) {
            written(place, conn, || replay.fold.write(shadow, places))?;
        }
        while written(place, conn, || replay.fold.settle(shadow, LINES_AT_ONCE))? {}
        if replay.fold.takes_any_order() {
            // Their events come together.
            replay.fold.forget_tasks();
        }
        Ok(())
    }
}

/// Does something in a write transaction, which is undone after an error, and where the files are not those any more that
/// were opened.
pub(super) fn written<T>(
    place: &Place,
    conn: &Connection,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    place.vitals.watch(|| {
        place.begin(conn, || false)?;
        match work().and_then(|done| place.files.recheck().map(|()| done)) {
            Ok(done) => {
                conn.execute_batch("COMMIT")?;
                place.committed(COMMIT_WEIGHT);
                Ok(done)
            }
            Err(error) => {
                // What cannot be undone now is when the connection is closed.
                let _ = conn.execute_batch("ROLLBACK");
                Err(error)
            }
        }
    })
}

/// So many events are read in one snapshot.
const EVENTS_AT_ONCE: u64 = 65_536;
/// Every row is met again when the indexes are made.
const CACHE_KIB: u32 = 16 * 1_024;
/// So many rows are written in one transaction: those of the tasks that are folded at once.
const ROWS_AT_ONCE: usize = 2_048;
/// So many lines are settled in one.
const LINES_AT_ONCE: usize = 200;
/// What one transaction weighs for the checkpoints.
const COMMIT_WEIGHT: u64 = 1_000;
