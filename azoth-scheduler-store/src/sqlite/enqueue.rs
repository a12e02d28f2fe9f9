//! Scheduling inside a transaction of the application's own.

use azoth_scheduler_core::command::TaskCommand;
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::rejection::Rejection;
use rusqlite::{Connection, Transaction};

use super::group::Group;
use super::handle::SqliteStore;
use super::head::Head;
use super::memory::Memory;
use crate::error::StoreError;
use crate::store::{Batch, Prepared, check_weight};

const BEGIN: &str = "SAVEPOINT azoth_enqueue";
const KEEP: &str = "RELEASE azoth_enqueue";
const UNDO: &str = "ROLLBACK TO azoth_enqueue; RELEASE azoth_enqueue";

impl SqliteStore {
    /// Schedules tasks in a transaction of the application's own on the same file: they are there if it commits, and
    /// leave no trace if it is rolled back. Each task is answered for itself, in order.
    ///
    /// The transaction decides how durable this is: that of a connection at `synchronous=OFF` is not. Begin it with
    /// `TransactionBehavior::Immediate`; a deferred one that has read something fails with [`StoreError::Busy`] where
    /// another writer was faster, and must then be begun anew.
    ///
    /// A running scheduler notices the tasks after the commit, in whichever process: within milliseconds on Linux, where
    /// the file is watched, elsewhere within its poll interval or when it is told by `Scheduler::wake`.
    ///
    /// # Errors
    /// [`StoreError::AnotherDatabase`] for a transaction on another file, [`StoreError::BatchTooLarge`],
    /// [`StoreError::TooLarge`], [`StoreError::NewerLayout`] or what the engine says. Nothing of what was prepared is in
    /// the transaction then, and it can go on.
    pub fn schedule_in(
        &self,
        tx: &Transaction<'_>,
        prepared: &Prepared,
    ) -> Result<Vec<Result<Answer, Rejection>>, StoreError> {
        check_weight(prepared.commands().iter().map(TaskCommand::weight))?;
        tx.execute_batch(BEGIN)?;
        match self.schedule_within(tx, prepared) {
            Ok(answers) => {
                tx.execute_batch(KEEP)?;
                Ok(answers)
            }
            Err(error) => {
                // Where the engine has rolled back the whole transaction, there is nothing left to undo.
                let _ = tx.execute_batch(UNDO);
                Err(error)
            }
        }
    }

    /// State and head are read inside the transaction, so a writer that was faster is seen.
    fn schedule_within(
        &self,
        conn: &Connection,
        prepared: &Prepared,
    ) -> Result<Vec<Result<Answer, Rejection>>, StoreError> {
        let head = Head::read(conn).map_err(|_| self.another_database())?;
        if head.database != self.shared.database {
            return Err(self.another_database());
        }
        self.shared.place.check_head(&head)?;
        let mut memory = Memory::default();
        let mut group = Group::new(conn, &mut memory, head)?;
        let batch = Batch::new(prepared.commands().iter().cloned(), prepared.now());
        let applied = group.apply(&batch)?;
        group.finish()?;
        Ok(applied.answers)
    }

    fn another_database(&self) -> StoreError {
        StoreError::AnotherDatabase { path: self.path().to_owned() }
    }
}
