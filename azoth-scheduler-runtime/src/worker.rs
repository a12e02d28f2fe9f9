//! One execution: its handler, its timeout, its cancellation, its panic, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::execution::{ErrorText, Outcome, Report, Success};
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::Claimed;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::any_handler::{AnyTaskHandler, Kind};
use crate::cancel::Cancel;
use crate::caught::{Caught, caught, caught_here};
use crate::context::{Facts, TaskContext};
use crate::event::too_large;
use crate::handler::{BlockingTaskHandler, TaskHandler};
use crate::observe;
use crate::outbox::Outbox;
use crate::slots::Slot;
use crate::task_error::{TaskError, TaskResult};
use crate::watchdog::Polls;
use crate::workshop::Workshop;

/// A claimed execution, ready to start.
pub(crate) struct Execution {
    pub(crate) claimed: Claimed,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) handler: AnyTaskHandler,
    pub(crate) slot: Arc<Slot>,
    pub(crate) cancel: Cancel,
    pub(crate) polls: Arc<Polls>,
}

/// An execution that has come to an end here.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) execution: ExecutionId,
    pub(crate) started_at: Timestamp,
    /// How long it took, by the monotonic clock; `None` where that is not known.
    pub(crate) took: Option<Duration>,
    pub(crate) ending: Ending,
}

#[derive(Debug)]
pub(crate) enum Ending {
    /// Its handler ended, or its time was up.
    Reported(Report),
    /// It was stopped from outside before that.
    Stopped,
}

impl Execution {
    /// Runs the handler to its end, its timeout, or its cancellation, whichever is first.
    pub(crate) async fn run(self, workshop: Arc<Workshop>) -> Ended {
        let span = observe::execution_span(&self.claimed);
        let (started_at, started) = (workshop.clock.now(), workshop.clock.elapsed());
        let execution = self.claimed.execution;
        let ending = match self.handler.0.clone() {
            Kind::Async(handler) => self.run_async(&workshop, handler).instrument(span).await,
            Kind::Blocking(handler) => self.run_blocking(&workshop, handler, span).await,
        };
        let took = Some(workshop.clock.elapsed().saturating_sub(started));
        Ended { execution, started_at, took, ending }
    }

    async fn run_async(&self, workshop: &Workshop, handler: Arc<dyn TaskHandler>) -> Ending {
        let ctx = self.context(workshop, false);
        let payload = &self.claimed.payload;
        let handled = async { handler.execute(&ctx, payload).await };
        let result = tokio::select! {
            biased;
            result = caught(self.polls.watch(&*workshop.clock, handled)) => result,
            () = self.cancel.cancelled() => return Ending::Stopped,
            () = workshop.clock.sleep(self.timeout()) => return self.timed_out(),
        };
        Ending::Reported(self.report(result, workshop.event_bytes_max))
    }

    async fn run_blocking(
        &self,
        workshop: &Workshop,
        handler: Arc<dyn BlockingTaskHandler<TaskError>>,
        span: tracing::Span,
    ) -> Ending {
        let (done, result) = oneshot::channel();
        if let Err(error) = workshop.host.run_blocking(Box::new(self.job(workshop, handler, span, done))) {
            let failed = TaskError::from(error).into_outcome();
            return Ending::Reported(failed);
        }
        let ending = tokio::select! {
            biased;
            result = result => {
                let result = result.unwrap_or_else(|_| Err(ErrorText::new("its thread was lost")));
                return Ending::Reported(self.report(result, workshop.event_bytes_max));
            }
            () = self.cancel.cancelled() => Ending::Stopped,
            () = workshop.clock.sleep(self.timeout()) => self.timed_out(),
        };
        observe::thread_set_aside(&self.claimed.task, self.claimed.execution);
        self.slot.set_aside();
        ending
    }

    /// What the thread does. It holds the slot until it is done, whatever was settled meanwhile.
    fn job(
        &self,
        workshop: &Workshop,
        handler: Arc<dyn BlockingTaskHandler<TaskError>>,
        span: tracing::Span,
        done: oneshot::Sender<Caught<TaskResult>>,
    ) -> impl FnOnce() + Send + 'static {
        let ctx = self.context(workshop, true);
        let payload = Arc::clone(&self.claimed.payload);
        let slot = Arc::clone(&self.slot);
        let runtime = tokio::runtime::Handle::try_current().ok();
        move || {
            let _entered = (runtime.as_ref().map(|runtime| runtime.enter()), span.enter());
            let result = caught_here(|| handler.execute(&ctx, &payload));
            // What a handler leaves behind may panic when it is dropped, and this thread is to serve others.
            let dropped = caught_here(move || drop((handler, ctx, payload)));
            let result = result.and_then(|result| dropped.map(|()| result));
            drop(slot);
            let _ = done.send(result);
        }
    }

    /// What came of the handler. From here on nothing can be scheduled with it any more.
    fn report(&self, result: Caught<TaskResult>, event_bytes_max: usize) -> Report {
        let children = self.outbox.close();
        match result {
            Ok(Ok(event)) if event.payload().len() > event_bytes_max => {
                too_large(event.payload().len(), event_bytes_max)
            }
            Ok(Ok(event)) => Outcome::Succeeded(Success { emitted: event.into_emitted(), children }),
            Ok(Err(error)) => error.into_outcome(),
            Err(message) => Outcome::Panicked { message },
        }
    }

    fn timed_out(&self) -> Ending {
        self.cancel.cancel();
        drop(self.outbox.close());
        Ending::Reported(Outcome::TimedOut { timeout_ms: self.claimed.timeout_ms.get() })
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.claimed.timeout_ms.get())
    }

    fn context(&self, workshop: &Workshop, may_block: bool) -> TaskContext {
        let facts = Facts {
            task: self.claimed.task.clone(),
            task_type: self.claimed.task_type.clone(),
            execution: self.claimed.execution,
            occurrence: self.claimed.occurrence,
            attempt: self.claimed.attempt,
            trace: self.claimed.trace,
            may_block,
        };
        let (outbox, checkpoint) = (Arc::clone(&self.outbox), self.claimed.checkpoint.clone());
        TaskContext::new(facts, Arc::clone(&workshop.states), outbox, checkpoint, self.cancel.listen())
    }
}
