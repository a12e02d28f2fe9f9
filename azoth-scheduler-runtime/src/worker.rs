//! One execution: its handler, its timeout, its cancellation, its panic, and what came of it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use azoth_scheduler_core::execution::{ErrorText, Failure, FailureClass, Outcome, Report, Success};
use azoth_scheduler_core::headway::Headway;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::Claimed;
use tokio::sync::{oneshot, watch};
use tracing::Instrument;

use crate::ahead::Queued;
use crate::any_handler::{AnyTaskHandler, Kind};
use crate::clock::Clock;
use crate::context::{Facts, TaskContext};
use crate::handler::{BlockingTaskHandler, TaskHandler};
use crate::host::Host;
use crate::observe;
use crate::outbox::Outbox;
use crate::panic_place;
use crate::slots::Slot;
use crate::state::StateMap;
use crate::task_error::{TaskError, TaskResult};
use crate::watchdog::Polls;

/// What every execution of a scheduler shares.
pub(crate) struct Workshop {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) states: Arc<StateMap>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) event_bytes_max: usize,
    pub(crate) trace_source: Option<TraceSource>,
}

/// Says where in a trace the caller is, as a `traceparent`.
pub(crate) type TraceSource = Box<dyn Fn() -> Option<String> + Send + Sync>;

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

/// Tells a handler that what it does does not count any more. Dropping the last of them tells it too.
#[derive(Clone, Debug)]
pub(crate) struct Cancel(Arc<CancelOnDrop>);

#[derive(Debug)]
struct CancelOnDrop(watch::Sender<bool>);

impl Cancel {
    pub(crate) fn new() -> Self {
        Self(Arc::new(CancelOnDrop(watch::Sender::new(false))))
    }

    pub(crate) fn cancel(&self) {
        self.0.0.send_replace(true);
    }

    pub(crate) fn listen(&self) -> watch::Receiver<bool> {
        self.0.0.subscribe()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.0.0.borrow()
    }

    async fn cancelled(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.listen().wait_for(|cancelled| *cancelled).await;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
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

/// The executions that are under way here, so that others can stop them.
#[derive(Default)]
pub(crate) struct Running {
    executions: Mutex<BTreeMap<ExecutionId, UnderWay>>,
}

/// An execution that is under way, or waits for its slot.
pub(crate) struct UnderWay {
    pub(crate) task: TaskId,
    pub(crate) task_type: TaskType,
    /// `None` while it waits for one.
    pub(crate) slot: Option<Arc<Slot>>,
    /// By the monotonic clock.
    pub(crate) spawned: Duration,
    spawned_at: Timestamp,
    polls: Arc<Polls>,
    cancel: Cancel,
    /// How far it says that it has come, until that is recorded.
    pub(crate) said: Option<Headway>,
}

impl Running {
    /// Adds one that waits for its slot.
    pub(crate) fn add(&self, queued: &Queued, now: Timestamp) {
        let under_way = UnderWay {
            task: queued.claimed.task.clone(),
            task_type: queued.claimed.task_type.clone(),
            slot: None,
            spawned: queued.since,
            spawned_at: now,
            polls: Arc::clone(&queued.polls),
            cancel: queued.cancel.clone(),
            said: None,
        };
        self.executions().insert(queued.claimed.execution, under_way);
    }

    /// It has its slot.
    pub(crate) fn start(&self, execution: ExecutionId, slot: &Arc<Slot>, now: Timestamp, elapsed: Duration) {
        if let Some(under_way) = self.executions().get_mut(&execution) {
            under_way.slot = Some(Arc::clone(slot));
            (under_way.spawned_at, under_way.spawned) = (now, elapsed);
        }
    }

    pub(crate) fn remove(&self, execution: ExecutionId) -> Option<UnderWay> {
        self.executions().remove(&execution)
    }

    /// Takes all of them, as nobody waits for their end any more.
    pub(crate) fn take_all(&self) -> BTreeMap<ExecutionId, UnderWay> {
        std::mem::take(&mut *self.executions())
    }

    pub(crate) fn spawned_at(&self, execution: ExecutionId) -> Option<Timestamp> {
        self.executions().get(&execution).map(|under_way| under_way.spawned_at)
    }

    pub(crate) fn ids(&self) -> BTreeSet<ExecutionId> {
        self.executions().keys().copied().collect()
    }

    /// Does something with one of them, if it is under way.
    pub(crate) fn with(&self, execution: ExecutionId, work: impl FnOnce(&mut UnderWay)) -> Option<()> {
        self.executions().get_mut(&execution).map(work)
    }

    /// Does something with each of them.
    pub(crate) fn for_each(&self, mut work: impl FnMut(ExecutionId, &mut UnderWay)) {
        self.executions().iter_mut().for_each(|(execution, under_way)| work(*execution, under_way));
    }

    /// Whether one of them blocks the async runtime; says so once each.
    pub(crate) fn look_for_blocked(&self, now: Duration) {
        self.executions().values().for_each(|under_way| under_way.polls.look(now));
    }

    pub(crate) fn stop_task(&self, task: &TaskId) {
        self.stop("cancelled", |_, under_way| under_way.task == *task);
    }

    pub(crate) fn stop_these(&self, executions: &BTreeSet<ExecutionId>, why: &'static str) {
        self.stop(why, |execution, _| executions.contains(&execution));
    }

    pub(crate) fn stop_all(&self, why: &'static str) {
        self.stop(why, |_, _| true);
    }

    fn stop(&self, why: &'static str, which: impl Fn(ExecutionId, &UnderWay) -> bool) {
        for (execution, under_way) in self.executions().iter() {
            if which(*execution, under_way) {
                observe::execution_stopped(&under_way.task, *execution, why);
                under_way.cancel.cancel();
            }
        }
    }

    fn executions(&self) -> MutexGuard<'_, BTreeMap<ExecutionId, UnderWay>> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result, or the message of the panic that took its place.
pub(crate) type Caught<T> = Result<T, ErrorText>;

/// Runs a future to its end or its panic.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Caught<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match caught_here(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// Does something on this thread, to its end or its panic.
pub(crate) fn caught_here<T>(work: impl FnOnce() -> T) -> Caught<T> {
    panic_place::clear();
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let place = panic_place::take();
        panic_text(panic, place)
    })
}

/// The message of a panic and, where it is known, its place, as they are kept.
fn panic_text(panic: Box<dyn Any + Send>, place: Option<String>) -> ErrorText {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    // A value that panics when it is dropped must not take the worker with it.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(panic)));
    let mut text = text.unwrap_or_else(|| "a panic without a message".to_owned());
    let Some(place) = place else { return ErrorText::new(text) };
    // A long message is cut, not its place.
    let room = ErrorText::BYTES_MAX.saturating_sub(place.len() + 16);
    text.truncate(text.floor_char_boundary(room));
    ErrorText::new(format!("{text}, at {place}"))
}

/// Running again would give the same event, so this is not tried again.
pub(crate) fn too_large(bytes: usize, limit: usize) -> Report {
    let message = format!(
        "the handler's event of {bytes} bytes is over the limit of {limit}: keep large content elsewhere and its name in the event"
    );
    let (class, message) = (FailureClass::Permanent, ErrorText::new(message));
    Outcome::Failed(Failure { class, message, sources: Vec::new() })
}
