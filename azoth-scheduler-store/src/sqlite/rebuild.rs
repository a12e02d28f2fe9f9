//! Making the projection anew from the log while others write.
//!
//! The log is folded into a scratch, without any lock and with a page of it in memory; the rows are copied into shadow tables
//! in small transactions. When at most [`BEHIND_MAX`] events are left, one transaction folds those, puts the shadows in the
//! place of the tables and counts the epoch up, which every writer reads with the head: what anybody remembers of the old
//! tables is void from then on.

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::base::Base;
use super::fold::Replay;
use super::head::Head;
use super::open::Place;
use super::readers::{self, in_snapshot};
use super::scratch::{Origin, Scratch};
use super::shadow::{COPY_ROWS, Shadow};
use super::upkeep::{Upkeep, Work};
use super::{schema, task_row};
use crate::error::StoreError;
use crate::report::{RebuildProgress, RebuildReport};

/// Folds the log into fresh derived tables.
pub(super) fn rebuild(
    place: &Place,
    progress: &watch::Sender<RebuildProgress>,
) -> Result<RebuildReport, StoreError> {
    let _alone = Upkeep::take(place, Work::Rebuild)?;
    rebuild_alone(place, progress)
}

/// Folds the log into fresh derived tables unless they are those of this version.
pub(super) fn rebuild_if_needed(place: &Place) -> Result<(), StoreError> {
    if is_current(place)? {
        return Ok(());
    }
    let _alone = Upkeep::take(place, Work::Rebuild)?;
    // Another process may have done it meanwhile.
    if is_current(place)? {
        return Ok(());
    }
    tracing::warn!(path = ?place.path, "the projection is missing or of another layout: it is made anew");
    rebuild_alone(place, &watch::Sender::default()).map(drop)
}

fn is_current(place: &Place) -> Result<bool, StoreError> {
    in_snapshot(&readers::connect(place)?, schema::derived_is_current)
}

fn rebuild_alone(
    place: &Place,
    progress: &watch::Sender<RebuildProgress>,
) -> Result<RebuildReport, StoreError> {
    let scratch = Scratch::open(place, Origin::Writable)?;
    let replay = Replay::start(&scratch)?;
    let mut rebuild = Rebuild { place, scratch: &scratch, replay, progress };
    rebuild.catch_up()?;
    let shadow = rebuild.write(|conn, _| Shadow::create(conn, "azoth_r_"))?;
    scratch.within(|conn| shadow.track(conn))?;
    loop {
        while rebuild.write(|conn, _| shadow.copy_some(conn))? {}
        rebuild.catch_up()?;
        let done = rebuild.write(|conn, replay| {
            let head = Head::read(conn)?.position;
            if head.saturating_sub(replay.position()) > BEHIND_MAX {
                return Ok(None);
            }
            while replay.position() < head {
                replay.page(conn, head)?;
            }
            replay.flush(conn)?;
            while shadow.copy_some(conn)? {}
            shadow.adopt(conn)?;
            renew_epoch(conn)?;
            let events = head.saturating_sub(Base::read(conn)?.position);
            Ok(Some(RebuildReport { events, tasks: task_row::count(conn)? }))
        })?;
        if let Some(report) = done {
            rebuild.tell(rebuild.replay.position());
            return Ok(report);
        }
    }
}

struct Rebuild<'a> {
    place: &'a Place,
    scratch: &'a Scratch,
    replay: Replay,
    progress: &'a watch::Sender<RebuildProgress>,
}

impl Rebuild<'_> {
    /// Folds until few events are left.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let head = self.scratch.within(Head::read)?.position;
            self.tell(head);
            if head.saturating_sub(self.replay.position()) <= BEHIND_MAX {
                return Ok(());
            }
            let progress = self.progress;
            let tell = |events| {
                progress.send_replace(RebuildProgress { events, of: head });
            };
            self.replay.advance(self.scratch, head, tell)?;
        }
    }

    /// Does something in a write transaction.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Replay) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (place, conn) = (self.place, self.scratch.conn());
        place.vitals.watch(|| {
            place.begin(conn, || false)?;
            match work(conn, &mut self.replay) {
                Ok(done) => {
                    conn.execute_batch("COMMIT")?;
                    place.committed(COPY_ROWS as u64)?;
                    Ok(done)
                }
                Err(error) => {
                    // The connection goes with the scratch.
                    let _ = conn.execute_batch("ROLLBACK");
                    Err(error)
                }
            }
        })
    }

    fn tell(&self, of: u64) {
        self.progress.send_replace(RebuildProgress { events: self.replay.position(), of });
    }
}

fn renew_epoch(conn: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE origin.azoth_head SET epoch = epoch + 1, projection_layout = ?1";
    let rows = conn.execute(sql, params![schema::PROJECTION_LAYOUT])?;
    assert_eq!(rows, 1, "the head is one row");
    Ok(())
}

/// So many events at most are folded while everybody waits.
const BEHIND_MAX: u64 = 1_000;
