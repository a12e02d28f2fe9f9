//! What is measured, told to the recorder of the `metrics` crate: behind the feature of that name, otherwise to nobody.
//!
//! Names, units and labels stand in `docs/observing.md`, and stay.

use std::time::Duration;

use azoth_scheduler_core::id::TaskType;

/// How an attempt ended, as the label `outcome` says.
type OutcomeWord = &'static str;

#[cfg(feature = "metrics")]
mod told {
    use super::{Duration, OutcomeWord, TaskType};

    pub(crate) fn execution_started(task_type: &TaskType, late: Duration) {
        let task_type = task_type.as_str().to_owned();
        metrics::histogram!("azoth_due_to_start_seconds", "task_type" => task_type)
            .record(late.as_secs_f64());
    }

    pub(crate) fn execution_ended(task_type: &TaskType, outcome: OutcomeWord, took: Duration) {
        let name = task_type.as_str().to_owned();
        metrics::histogram!("azoth_run_seconds", "task_type" => name.clone()).record(took.as_secs_f64());
        metrics::counter!("azoth_executions_total", "task_type" => name, "outcome" => outcome).increment(1);
    }

    pub(crate) fn slots(taken: usize, max: usize) {
        metrics::gauge!("azoth_busy_slots").set(as_f64(taken));
        metrics::gauge!("azoth_slots").set(as_f64(max));
    }

    pub(crate) fn oldest_due(late: Duration) {
        metrics::gauge!("azoth_oldest_due_seconds").set(late.as_secs_f64());
    }

    pub(crate) fn committed(took: Duration, commands: usize, claims: usize) {
        metrics::histogram!("azoth_commit_seconds").record(took.as_secs_f64());
        metrics::histogram!("azoth_commit_commands").record(as_f64(commands));
        metrics::histogram!("azoth_commit_claims").record(as_f64(claims));
    }

    fn as_f64(number: usize) -> f64 {
        u32::try_from(number).map_or(f64::MAX, f64::from)
    }
}

#[cfg(not(feature = "metrics"))]
mod told {
    use super::{Duration, OutcomeWord, TaskType};

    pub(crate) fn execution_started(_task_type: &TaskType, _late: Duration) {}
    pub(crate) fn execution_ended(_task_type: &TaskType, _outcome: OutcomeWord, _took: Duration) {}
    pub(crate) fn slots(_taken: usize, _max: usize) {}
    pub(crate) fn oldest_due(_late: Duration) {}
    pub(crate) fn committed(_took: Duration, _commands: usize, _claims: usize) {}
}

pub(crate) use told::{committed, execution_ended, execution_started, oldest_due, slots};
