//! Making the projection anew from the log while others write.
//!
//! The log is folded into shadow tables, without any lock while it is read and in small transactions where it is written. When
//! at most [`BEHIND_MAX`] events are left, one transaction folds those, puts the shadows in the place of the tables and counts
//! the epoch up, which every writer reads with the head: what anybody remembers of the old tables is void from then on.

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::base::Base;
use super::error::of_file;
use super::head::Head;
use super::making::{Making, written};
use super::place::Place;
use super::readers::{self, in_snapshot};
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
    let conn = place.connect().map_err(|error| of_file(error, &place.path))?;
    let mut making = Making::start(place, &conn, "azoth_r_")?;
    loop {
        let head = in_snapshot(&conn, Head::read)?.position;
        let tell = |events, of| {
            progress.send_replace(RebuildProgress { events, of });
        };
        tell(making.position(), head);
        making.fold(head, |events| tell(events, head))?;
        let done = written(place, &conn, || {
            let head = Head::read(&conn)?.position;
            if head.saturating_sub(making.position()) > BEHIND_MAX {
                return Ok(None);
            }
            making.fold_at_once(head)?;
            making.shadow.adopt()?;
            renew_epoch(&conn)?;
            let events = head.saturating_sub(Base::read(&conn)?.position);
            Ok(Some(RebuildReport { events, tasks: task_row::count(&conn)? }))
        })?;
        if let Some(report) = done {
            tell(making.position(), making.position());
            return Ok(report);
        }
    }
}

fn renew_epoch(conn: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE azoth_head SET epoch = epoch + 1, projection_layout = ?1";
    let rows = conn.execute(sql, params![schema::PROJECTION_LAYOUT])?;
    assert_eq!(rows, 1, "the head is one row");
    Ok(())
}

/// So many events at most are folded while everybody waits.
const BEHIND_MAX: u64 = 1_000;
