//! What executions say of how far they have come: the last word of each, until it is recorded.
//!
//! A handler may say it as often as it likes: nothing waits, and nothing is written but by [`record`], which takes the last
//! word of every execution of this scheduler at once, in one transaction, and then rests for [`EVERY`].

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_store::Batch;

use crate::context::TaskContext;
use crate::running::Running;
use crate::shared::Shared;

/// What a handler tells of its progress.
impl TaskContext {
    /// Says how far the handler has come, as a fraction of 1, and what it does: whoever looks at the task sees it
    /// ([`TaskInfo::progress`](crate::TaskInfo::progress)), in whatever process.
    ///
    /// It costs next to nothing, never waits and never fails, in async and in blocking handlers. Only the last word counts:
    /// once a second at most, the newest of each execution is recorded, all of them in one transaction; what was said in
    /// between, and what is said just before the handler returns, leaves no trace. A fraction below 0 counts as 0, one above
    /// 1 as 1; of the note 256 bytes are kept.
    ///
    /// ```
    /// use azoth_scheduler_runtime::TaskContext;
    ///
    /// let ctx = TaskContext::detached("import-7", "import")?;
    /// let files = ["a.csv", "b.csv"];
    /// for (number, file) in (1..).zip(files) {
    ///     ctx.progress(f64::from(number) / files.len() as f64, format!("read {file}"));
    /// }
    /// assert_eq!(ctx.last_progress(), Some((1.0, "read b.csv".to_owned())));
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    pub fn progress(&self, done: f64, note: impl AsRef<str>) {
        let headway = Headway { done: Share::of(done), note: Note::new(note.as_ref()) };
        if let Ok(Some(desk)) = self.desk() {
            desk.hear(self.execution_id(), headway.clone());
        }
        self.say(headway);
    }

    /// What was said last, for tests of a handler.
    pub fn last_progress(&self) -> Option<(f64, String)> {
        self.said().map(|headway| (headway.done.fraction(), headway.note.as_str().to_owned()))
    }
}

impl Running {
    /// Keeps the last word of an execution. `false`: it is not under way here any more.
    pub(crate) fn say(&self, execution: ExecutionId, headway: Headway) -> bool {
        self.with(execution, |under_way| under_way.said = Some(headway)).is_some()
    }

    /// Takes the words of at most so many executions.
    fn take_said(&self, at_most: usize) -> Vec<TaskCommand> {
        let mut words = Vec::new();
        self.for_each(|execution, under_way| {
            if words.len() < at_most
                && let Some(headway) = under_way.said.take()
            {
                let wish = Wish::ReportProgress { execution, headway };
                words.push(TaskCommand { task: under_way.task.clone(), wish });
            }
        });
        words
    }

    /// Puts words back that were not recorded, where nothing newer was said.
    fn put_back(&self, words: Vec<TaskCommand>) {
        for word in words {
            if let Wish::ReportProgress { execution, headway } = word.wish {
                self.with(execution, |under_way| {
                    under_way.said.get_or_insert(headway);
                });
            }
        }
    }
}

/// Records what executions say, until it is stopped.
pub(crate) async fn record(shared: Arc<Shared>) {
    loop {
        shared.progress.notified().await;
        let words = shared.running.take_said(BATCH_MAX);
        if !words.is_empty() {
            if words.len() == BATCH_MAX {
                shared.progress.notify_one();
            }
            let batch = Batch::new(words.clone(), shared.clock().now());
            // A word that is refused came from an execution that has ended. The loop tells of a store that fails.
            if shared.in_time(shared.store.apply(batch)).await.is_err() {
                shared.running.put_back(words);
                shared.progress.notify_one();
            }
        }
        shared.clock().sleep(EVERY).await;
    }
}

/// Progress is recorded no more often than this.
const EVERY: Duration = Duration::from_secs(1);
/// The words of so many executions are recorded in one transaction.
const BATCH_MAX: usize = 1_000;
