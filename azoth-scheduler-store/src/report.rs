//! What a store says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use azoth_scheduler_core::id::{ConsumerName, TaskType};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::time::Timestamp;

use crate::error::StoreError;
use crate::record::LogPosition;

/// What reading the whole log and comparing the projection with it brought to light.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a report with findings means damage"]
#[non_exhaustive]
pub struct VerifyReport {
    /// Events read.
    pub events: u64,
    /// Tasks compared.
    pub tasks: u64,
    /// Position and hash of the newest event: keep them elsewhere to notice a log that was cut short.
    pub head: LogPosition,
    /// The chain's hash at the head; all zero for a store that keeps no chain.
    pub head_hash: [u8; 32],
    /// What is wrong, the lowest position first; at most [`FINDINGS_MAX`](Self::FINDINGS_MAX).
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Reading stops after so many findings.
    pub const FINDINGS_MAX: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The event at which it shows; `None` where it shows in the projection alone.
    pub position: Option<LogPosition>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "at event {position}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Whether a store writes. Reads may succeed in each of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// As far as is known, yes.
    #[default]
    Working,
    /// The last writes failed in a way that puts the disk in doubt. The next one is tried all the same.
    Troubled {
        /// How many in a row.
        failures: u32,
        /// What the last one said.
        detail: String,
    },
    /// Nothing is written any more: the file was found damaged when it was opened, or too many writes in a row have
    /// failed. To go on, mend the cause and open the store again.
    Failed {
        /// Why.
        detail: String,
    },
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Events folded.
    pub events: u64,
    /// Tasks written.
    pub tasks: u64,
}

/// A copy that was made and verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Position of the newest event in the copy.
    pub head: LogPosition,
    /// The chain's hash at that event.
    pub head_hash: [u8; 32],
    /// Bytes of the copy.
    pub bytes: u64,
}

/// A log that was written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// Events written.
    pub events: u64,
    /// Position of the newest of them.
    pub head: LogPosition,
    /// The chain's hash at that event.
    pub head_hash: [u8; 32],
}

/// What could be read of a damaged log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it says what was lost"]
#[non_exhaustive]
pub struct SalvageReport {
    /// Stretches of the log without a gap, in order, each in a file of its own.
    pub parts: Vec<SalvagedPart>,
    /// Events in these files.
    pub events: u64,
    /// What lies between them, in order.
    pub damage: Vec<Damage>,
    /// What is wrong beside the events.
    pub beside: Vec<String>,
}

impl SalvageReport {
    /// Whether the whole log was read and proven.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.beside.is_empty()
    }
}

/// A stretch of a damaged log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedPart {
    /// The file, in the form of an export.
    pub path: PathBuf,
    /// The events behind this one are in it.
    pub after: LogPosition,
    /// The last of them.
    pub through: LogPosition,
}

/// Events of a log that cannot be read, or not be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The first of them.
    pub from: LogPosition,
    /// The last of them.
    pub through: LogPosition,
    /// How many of them can be read all the same.
    pub readable: u64,
    /// The first thing that is wrong with them.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, through, readable, what } = self;
        write!(f, "events {from} to {through}, of which {readable} can be read: {what}")
    }
}

/// What was cut from the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutReport {
    /// The last event that is cut, by this call or before; the start of the log if none is.
    pub through: LogPosition,
    /// Events that this call cut.
    pub events: u64,
    /// The file that they were written to.
    pub archive: Option<PathBuf>,
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionReport {
    /// Tasks that left.
    pub tasks: u64,
    /// Payloads whose bytes were dropped.
    pub payloads: u64,
}

/// How far a rebuild has come. What is written meanwhile is folded too, so `of` may grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebuildProgress {
    /// Events folded so far.
    pub events: u64,
    /// Events that there are.
    pub of: u64,
}

/// Counts, sizes and lags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Position of the newest event.
    pub head: LogPosition,
    /// How many tasks of each type stand in each phase; pairs without a task are left out.
    pub tasks: Vec<TaskCount>,
    /// The earliest `run_at` among tasks that wait, if it has passed.
    pub oldest_due: Option<Timestamp>,
    /// The types with tasks that no living worker handles, ordered by their names. A worker lives until it has ended or was
    /// found dead; of the past it is not known who lived, and this is empty.
    pub unhandled: Vec<UnhandledType>,
    /// Each durable consumer and where it stands.
    pub consumers: Vec<ConsumerLag>,
    /// Bytes of the database file; 0 for a store without one.
    pub file_bytes: u64,
    /// Bytes of the write-ahead log; 0 for a store without one.
    pub wal_bytes: u64,
    /// The engine's version, such as `SQLite 3.53.2`.
    pub engine: String,
    /// Commits since the store was opened.
    pub commits: u64,
    /// The last event that was cut from the log; its start where none was.
    pub cut: LogPosition,
    /// Events of the largest of these commits.
    pub largest_commit: u64,
    /// Events that these commits wrote.
    pub events_committed: u64,
}

/// How many tasks of a type stand in a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCount {
    /// The type.
    pub task_type: TaskType,
    /// The phase.
    pub phase: PhaseKind,
    /// How many.
    pub tasks: u64,
}

/// A type that has tasks, and no living worker that handles it. Its tasks wait untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnhandledType {
    /// The type.
    pub task_type: TaskType,
    /// How many of its tasks have not ended.
    pub tasks: u64,
    /// Since when the first of those that are due could have started; `None` while none is.
    pub oldest_due: Option<Timestamp>,
}

impl UnhandledType {
    /// All of them, by what is there and by what is handled.
    pub(crate) fn all(
        counts: &[TaskCount],
        handled: &BTreeSet<TaskType>,
        mut oldest_due: impl FnMut(&TaskType) -> Result<Option<Timestamp>, StoreError>,
    ) -> Result<Vec<Self>, StoreError> {
        let mut live = BTreeMap::<&TaskType, u64>::new();
        for count in
            counts.iter().filter(|count| count.phase.is_live() && !handled.contains(&count.task_type))
        {
            let tasks = live.entry(&count.task_type).or_default();
            *tasks = tasks.saturating_add(count.tasks);
        }
        let unhandled = live.into_iter().map(|(task_type, tasks)| {
            Ok(Self { task_type: task_type.clone(), tasks, oldest_due: oldest_due(task_type)? })
        });
        unhandled.collect()
    }
}

/// Where a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerLag {
    /// Its name.
    pub consumer: ConsumerName,
    /// The last event that it has handled.
    pub cursor: LogPosition,
    /// How many events it has yet to handle.
    pub events_behind: u64,
    /// How many events it could not handle.
    pub dead_letters: u64,
}
