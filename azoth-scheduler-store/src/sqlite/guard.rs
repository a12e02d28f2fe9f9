//! The triggers that keep the log from being edited, and the one connection that works without them.
//!
//! Every other connection is under them, whoever opened it. The writer appends event by event, and they would cost a third
//! of that; so they are off there, but for the few statements that move the beginning of the log or delete what is cut.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::StoreError;

/// Lets a connection work without the triggers.
pub(super) fn lift(conn: &Connection) -> rusqlite::Result<()> {
    set(conn, false)
}

/// Does something under the triggers, on a connection that works without them.
pub(super) fn under<T>(
    conn: &Connection,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    set(conn, true)?;
    let done = work();
    lift(conn)?;
    done
}

fn set(conn: &Connection, on: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn what_is_done_under_the_triggers_is_refused_and_they_are_off_again_behind_it() {
        let conn = Connection::open_in_memory().unwrap();
        schema::create(&conn).unwrap();
        lift(&conn).unwrap();
        let append = |position: u32| {
            let sql = "INSERT INTO azoth_log (position, at_ms, ordered_at_ms, subject, kind, record)
                       VALUES (?1, 0, 0, ?1, 1, x'00')";
            conn.execute(sql, [position])
        };
        let delete = || conn.execute("DELETE FROM azoth_log", []);
        assert_eq!(append(1), Ok(1));
        let refused = under(&conn, || Ok(delete()?)).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
        assert_eq!(append(7), Ok(1), "the trigger that wants the next position is off");
        assert_eq!(delete(), Ok(2));
    }
}
