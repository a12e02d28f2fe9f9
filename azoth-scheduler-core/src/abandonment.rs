//! Executions that are taken from their workers.

/// Why an execution was taken from its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// The worker gave no sign of life for a whole lease, or its process is gone. Counts as a loss.
    WorkerLost,
    /// The worker shut down while the handler ran, and gave the task back.
    ShutDown,
    /// The worker gave the task back before its handler started.
    NotStarted,
}

impl AbandonReason {
    /// Whether the task may be what killed its worker.
    pub const fn is_loss(self) -> bool {
        match self {
            AbandonReason::WorkerLost => true,
            AbandonReason::ShutDown | AbandonReason::NotStarted => false,
        }
    }
}
