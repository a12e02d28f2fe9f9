//! A herd: very many tasks that are due at the same instant. Counted is what is in hand and what is asked of the store,
//! never how long anything takes.
//!
//! `cargo xtask simulate --herd N` does the same with as many tasks as asked, a million for example.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_runtime::testing::{Simulator, StoreCall};
use azoth_scheduler_runtime::{
    Clock, ManualClock, ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::store::CLAIM_BATCH_MAX;
use azoth_scheduler_store::{LogPosition, RecordedEvent, Subject};

use crate::plan::{Storage, open};

/// Takes so long.
struct Grazes {
    clock: ManualClock,
    takes: Duration,
}

#[async_trait]
impl TaskHandler for Grazes {
    fn task_type(&self) -> &str {
        "graze"
    }

    async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        self.clock.sleep(self.takes).await;
        Ok(TaskEvent::new("grazed", [])?)
    }
}

/// A scheduler, and a herd that comes due in a minute.
struct Herd {
    world: Simulator,
    scheduler: Scheduler,
    tasks: usize,
    applies: Arc<AtomicUsize>,
    /// The last of them was scheduled here.
    scheduled: LogPosition,
    _folder: Option<tempfile::TempDir>,
}

impl Herd {
    fn gather(storage: Storage, takes: Duration) -> Self {
        let (world, folder) = match storage {
            Storage::Memory => (Simulator::of_seed(11), None),
            Storage::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                (Simulator::of_seed(11).on_store(open(folder.path())), Some(folder))
            }
        };
        let handler = Grazes { clock: world.clock().clone(), takes };
        let scheduler = world
            .start(|builder| builder.with_task_handler(handler).with_max_concurrent_tasks(SLOTS))
            .unwrap();
        let due = world.now().saturating_add_ms(60_000);
        let tasks = std::env::var("AZOTH_SIMULATE_HERD").map_or(TASKS, |text| text.parse().unwrap());
        let request = |number: usize| {
            let request = ScheduleTaskRequest::builder(name(number)).task_type("graze").at(due.into());
            request.build().unwrap()
        };
        for first in (0..tasks).step_by(1_000) {
            let requests = (first..tasks.min(first + 1_000)).map(request).collect::<Vec<_>>();
            world.block_on(scheduler.schedule_tasks(requests)).unwrap();
        }
        let applies = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&applies);
        world.trouble_store(&scheduler, move |call| {
            counted.fetch_add(usize::from(call == StoreCall::Apply), Ordering::SeqCst);
            None
        });
        let scheduled = world.ask(world.store().head()).unwrap();
        world.run_for(Duration::from_secs(59)).unwrap();
        Self { world, scheduler, tasks, applies, scheduled, _folder: folder }
    }

    /// What happened since.
    fn log(&self) -> Vec<RecordedEvent> {
        self.world.log(self.scheduled).unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds)).unwrap();
    }

    fn phase(&self, task: &str) -> PhaseKind {
        self.world.block_on(self.scheduler.get_task(task)).unwrap().unwrap().phase
    }

    fn waiting(&self) -> usize {
        let counts = self.world.ask(self.world.store().stats(self.world.now())).unwrap().tasks;
        let waiting = counts.iter().filter(|count| count.phase == PhaseKind::Waiting);
        waiting.map(|count| usize::try_from(count.tasks).unwrap()).sum()
    }
}

fn name(number: usize) -> String {
    format!("cow-{number}")
}

fn starts(log: &[RecordedEvent]) -> usize {
    log.iter().filter(|recorded| matches!(recorded.event, Event::ExecutionStarted { .. })).count()
}

/// The most executions that were claimed and had not ended at any moment.
fn most_in_hand(log: &[RecordedEvent]) -> usize {
    let (mut in_hand, mut most) = (0_usize, 0);
    for recorded in log {
        match &recorded.event {
            Event::ExecutionStarted { .. } => in_hand += 1,
            Event::TaskExecuted { .. } | Event::ExecutionAbandoned { .. } => in_hand -= 1,
            _ => {}
        }
        most = most.max(in_hand);
    }
    most
}

#[test]
fn of_a_herd_no_more_is_in_hand_than_there_are_slots() {
    let herd = Herd::gather(Storage::Memory, Duration::from_secs(1));
    let asked_before = herd.applies.load(Ordering::SeqCst);
    herd.pass(11);
    let log = herd.log();
    // Every second as many as there are slots.
    let started = starts(&log);
    assert!((10 * SLOTS..=11 * SLOTS).contains(&started), "{started} of {}", herd.tasks);
    assert!(most_in_hand(&log) <= SLOTS, "{} in hand", most_in_hand(&log));
    let asked = herd.applies.load(Ordering::SeqCst) - asked_before;
    assert!(asked <= 2 * started, "{asked} transactions for {started} executions");
}

/// What is claimed ahead for quick tasks is at most one batch.
#[test]
fn of_a_quick_herd_no_more_is_in_hand_than_slots_and_one_batch() {
    let herd = Herd::gather(Storage::Sqlite, Duration::ZERO);
    let cow = name(herd.tasks - 1);
    herd.world.clock().advance(Duration::from_secs(1));
    let mut steps = 0;
    while starts(&herd.log()) < 1_000 {
        steps += (0..500).filter(|_| herd.world.step()).count();
        assert!(steps < 1_000_000, "the loop stalls");
    }
    let before = starts(&herd.log());
    herd.world.block_on(herd.scheduler.cancel_task(&cow, "sold")).unwrap();
    let log = herd.log();
    assert!(starts(&log) - before <= 2 * (SLOTS + CLAIM_BATCH_MAX), "the wish is not behind the whole herd");
    assert_eq!(herd.phase(&cow), PhaseKind::Cancelled);
    assert!(most_in_hand(&log) <= SLOTS + CLAIM_BATCH_MAX, "{} in hand", most_in_hand(&log));
}

#[test]
fn wishes_are_answered_between_the_batches_of_a_herd() {
    let herd = Herd::gather(Storage::Memory, Duration::from_secs(1));
    let (world, scheduler) = (&herd.world, &herd.scheduler);
    herd.pass(4);

    let before = world.clock().elapsed();
    let cow = name(herd.tasks - 1);
    world.block_on(scheduler.cancel_task(&cow, "sold")).unwrap();
    assert_eq!(world.clock().elapsed(), before, "nobody waits for the herd");
    assert_eq!(herd.phase(&cow), PhaseKind::Cancelled);

    let urgent = ScheduleTaskRequest::builder("urgent").task_type("graze").priority(Priority::Critical);
    world.block_on(scheduler.schedule_task(urgent.immediate().build().unwrap())).unwrap();
    herd.pass(3);
    let log = herd.log();
    let urgent = Subject::Task("urgent".parse::<TaskId>().unwrap());
    let at =
        |event: &str| log.iter().position(|of| of.subject == urgent && of.event.name() == event).unwrap();
    let overtaken_by = starts(&log[at("TaskScheduled")..at("ExecutionStarted")]);
    assert!(overtaken_by <= SLOTS, "{overtaken_by} of the herd went first");

    world.block_on(scheduler.pause(Scope::Everything, "storm").into_future()).unwrap();
    let paused = starts(&herd.log());
    herd.pass(5);
    assert_eq!(starts(&herd.log()), paused, "no more start");
    world.block_on(scheduler.resume(Scope::Everything)).unwrap();
    herd.pass(2);
    assert!(starts(&herd.log()) > paused, "they go on");

    let before = world.clock().elapsed();
    world.block_on(scheduler.shutdown());
    assert!(world.clock().elapsed() - before <= Duration::from_secs(1), "only for those that run");
    let log = herd.log();
    let executed = log.iter().filter(|of| matches!(of.event, Event::TaskExecuted { .. })).count();
    assert_eq!(executed, starts(&log), "what was started has ended");
    // All of the herd and the urgent one, but for those that ran and the one that was cancelled.
    assert_eq!(herd.waiting(), herd.tasks + 1 - executed - 1, "the rest waits for the next process");
}

const SLOTS: usize = 16;
/// So many, where nothing else is asked for.
const TASKS: usize = 20_000;
