//! What an attempt leaves for the next one.

use std::sync::Arc;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::headway::Checkpoint;
use azoth_scheduler_core::payload::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::TaskContext;
use crate::error::{Result, SchedulerError};
use crate::event::to_json;
use crate::redaction::without_json_values;

/// What a handler leaves for its next attempt, and finds of the one before.
impl TaskContext {
    /// What was saved last for this occurrence, by this attempt or by one before it, read from JSON. `None`: nothing was.
    ///
    /// An attempt comes after one that failed, timed out, snoozed, was given back by a shutdown, or whose process died. The
    /// next occurrence starts without a checkpoint, and so does a task that was defined otherwise meanwhile.
    ///
    /// ```
    /// use azoth_scheduler_runtime::TaskContext;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let ctx = TaskContext::detached("import-7", "import")?;
    /// let lines: Vec<u64> = (0..10).collect();
    /// let done: usize = ctx.checkpoint()?.unwrap_or(0);
    /// for (number, _line) in (1..).zip(&lines).skip(done) {
    ///     if number % 5 == 0 {
    ///         ctx.save_checkpoint(&number).await?;
    ///     }
    /// }
    /// assert_eq!(ctx.checkpoint()?, Some(10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SchedulerError::Handler`] for JSON that does not fit the type, as when an older release saved it. The text shows
    /// nothing of it.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(bytes) = self.checkpoint_bytes() else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let problem = without_json_values(error.to_string());
            let type_name = std::any::type_name::<T>();
            SchedulerError::handler(format!("the checkpoint cannot be read as {type_name}: {problem}"))
        })
    }

    /// As [`checkpoint`](Self::checkpoint), the bytes as they are.
    pub fn checkpoint_bytes(&self) -> Option<Arc<[u8]>> {
        self.kept()
    }

    /// Keeps a value, as JSON of at most 256 KiB, for the next attempt, in the place of what was kept before. Once this returns
    /// it is durable: the process may die. Each one that differs from the one before is an event of its own and waits for the
    /// disk, so save one every so often, not after every step.
    ///
    /// A store that is busy or fails for a while is waited for.
    ///
    /// # Errors
    /// [`SchedulerError::CheckpointTooLarge`], [`SchedulerError::InvalidTask`] for a value that JSON cannot hold,
    /// [`SchedulerError::Rejected`] when the task was taken from this execution, [`SchedulerError::ExecutionOver`] once the
    /// handler has returned, [`SchedulerError::Store`].
    pub fn save_checkpoint<T: Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> impl Future<Output = Result<()>> + Send {
        let json = to_json(value);
        async move { self.keep(json?).await }
    }

    /// As [`save_checkpoint`](Self::save_checkpoint), with bytes of whatever form.
    ///
    /// # Errors
    /// As there.
    pub async fn save_checkpoint_bytes(&self, bytes: impl Into<Vec<u8>> + Send) -> Result<()> {
        self.keep(bytes.into()).await
    }

    /// As [`save_checkpoint`](Self::save_checkpoint), for blocking handlers: it blocks the thread until the value is durable.
    ///
    /// # Errors
    /// As there, and [`SchedulerError::BlockingInAsync`] in an async handler.
    pub fn save_checkpoint_blocking<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.keep_blocking(to_json(value)?)
    }

    /// As [`save_checkpoint_blocking`](Self::save_checkpoint_blocking), with bytes of whatever form.
    ///
    /// # Errors
    /// As there.
    pub fn save_checkpoint_bytes_blocking(&self, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.keep_blocking(bytes.into())
    }

    /// The same context with this checkpoint, for tests of a handler.
    #[must_use]
    pub fn with_checkpoint(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.set_kept(bytes.into().into());
        self
    }

    async fn keep(&self, bytes: Vec<u8>) -> Result<()> {
        let checkpoint = checked(bytes)?;
        if let Some(desk) = self.desk()? {
            desk.keep(self.saving(&checkpoint)).await?;
        }
        self.set_kept(checkpoint.bytes().clone());
        Ok(())
    }

    fn keep_blocking(&self, bytes: Vec<u8>) -> Result<()> {
        let checkpoint = checked(bytes)?;
        if let Some(desk) = self.desk()? {
            if !self.may_block() {
                return Err(SchedulerError::BlockingInAsync);
            }
            desk.keep_blocking(self.saving(&checkpoint))?;
        }
        self.set_kept(checkpoint.bytes().clone());
        Ok(())
    }

    fn saving(&self, checkpoint: &Payload) -> TaskCommand {
        let wish = Wish::SaveCheckpoint { execution: self.execution_id(), checkpoint: checkpoint.clone() };
        TaskCommand { task: self.task_id().clone(), wish }
    }
}

fn checked(bytes: Vec<u8>) -> Result<Payload> {
    let (found, limit) = (bytes.len(), Checkpoint::BYTES_MAX);
    if found > limit {
        return Err(SchedulerError::CheckpointTooLarge { bytes: found, limit });
    }
    Ok(Payload::new(bytes))
}
