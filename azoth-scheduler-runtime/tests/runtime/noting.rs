//! What handlers say while they run: progress, and checkpoints for the next attempt.

use std::sync::{Arc, Mutex};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{
    BlockingTaskHandler, Result, SchedulerError, TaskContext, TaskEvent, TaskProgress,
};
use azoth_scheduler_store::StoreError;

use crate::support::{
    Fault, FaultyStore, Fixture, Gate, MINUTE, SECOND, clock, done, handler, immediate, within,
};

async fn progress(fixture: &Fixture) -> Option<TaskProgress> {
    fixture.scheduler.get_task("a").await.unwrap().unwrap().progress().cloned()
}

/// Lets whatever can move without the clock move.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn recorded(fixture: &Fixture) -> usize {
    let reports = |event: &&Event| matches!(event, Event::ProgressReported { .. });
    fixture.events("a").await.iter().filter(reports).count()
}

#[tokio::test]
async fn progress_of_a_busy_loop_is_seen_and_recorded_once_a_second_at_most() {
    let gates = [Gate::new(), Gate::new()];
    let passed = gates.clone();
    let fixture = Fixture::with(handler(move |ctx, _| {
        let gates = passed.clone();
        async move {
            for (part, gate) in (1..).zip(&gates) {
                for step in 0..=1_000 {
                    ctx.progress(f64::from(step) / 2_000.0, format!("part {part}"));
                }
                gate.pass().await;
            }
            ctx.progress(1.0, "said as it returns");
            done()
        }
    }));
    fixture.schedule(immediate("a")).await;
    gates[0].wait_for(1).await;
    settle().await;
    let seen = progress(&fixture).await.unwrap();
    assert_eq!((seen.fraction(), seen.note.as_str()), (0.5, "part 1"), "the last word counts");
    assert_eq!(recorded(&fixture).await, 1);

    gates[0].open();
    gates[1].wait_for(1).await;
    settle().await;
    assert_eq!(recorded(&fixture).await, 1, "the second is not over");
    fixture.clock.advance(SECOND);
    settle().await;
    assert_eq!(progress(&fixture).await.unwrap().note, "part 2");
    assert_eq!(recorded(&fixture).await, 2);
    gates[1].open();
    fixture.idle().await;
    assert_eq!(progress(&fixture).await, None, "it is that of an execution");
    fixture.end().await;
}

#[tokio::test]
async fn progress_that_a_store_could_not_record_is_recorded_later() {
    let gate = Gate::new();
    let passed = gate.clone();
    let fixture = Fixture::with(handler(move |ctx, _| {
        let gate = passed.clone();
        async move {
            gate.pass().await;
            ctx.progress(0.3, "so far");
            std::future::pending::<()>().await;
            done()
        }
    }));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    settle().await;
    fixture.store.fail_next(1, &Fault::Before(StoreError::Busy { waited_ms: 1 }));
    gate.open();
    settle().await;
    assert_eq!((progress(&fixture).await, fixture.store.faults_left()), (None, 0));
    for _ in 0..5 {
        fixture.clock.advance(SECOND);
        settle().await;
    }
    assert_eq!(progress(&fixture).await.unwrap().fraction(), 0.3);
    fixture.scheduler.cancel_task("a", "enough").await.unwrap();
    fixture.end().await;
}

/// I8. The first process is paused while its task runs, and comes back too late.
#[tokio::test]
async fn checkpoint_survives_a_lost_worker_and_a_late_one_is_refused() {
    let store = FaultyStore::default();
    let gate = Gate::new();
    let kept = Arc::new(Mutex::new(None));
    let (passed, context) = (gate.clone(), Arc::clone(&kept));
    let paused = Fixture::on(store.clone(), clock(), |builder| {
        builder.with_task_handler(handler(move |ctx, _| {
            *context.lock().unwrap() = Some(ctx.clone());
            let gate = passed.clone();
            async move {
                ctx.save_checkpoint(&("lines", 700)).await?;
                gate.pass().await;
                done()
            }
        }))
    });
    paused.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    let awake = Fixture::on(store.clone(), clock(), |builder| {
        builder.with_task_handler(handler(|ctx, _| async move {
            let left: Option<(String, u32)> = ctx.checkpoint()?;
            Ok(TaskEvent::json("went_on", &(ctx.attempt(), left))?)
        }))
    });
    awake.idle().await;
    let info = awake.scheduler.get_task("a").await.unwrap().unwrap().checkpoint.unwrap();
    assert_eq!(info.bytes, br#"["lines",700]"#.len() as u64);
    for _ in 0..5 {
        awake.pass(SECOND * 5).await;
    }
    let handle = awake.scheduler.handle("a").unwrap();
    let went_on = within(handle.wait::<(u32, Option<(String, u32)>)>()).await.unwrap().value();
    assert_eq!(went_on, Some((2, Some(("lines".to_owned(), 700)))));

    let ctx = kept.lock().unwrap().take().unwrap();
    let late = ctx.save_checkpoint(&("lines", 800)).await;
    let Err(SchedulerError::Rejected(Rejection::StaleExecution { .. })) = late else {
        panic!("a late checkpoint is refused: {late:?}");
    };
    assert_eq!(ctx.checkpoint::<(String, u32)>().unwrap(), Some(("lines".to_owned(), 700)));
    gate.open();
    awake.end().await;
    paused.end().await;
}

/// What each attempt found, and what it left.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<Step>>>);

/// The number of an attempt, and the checkpoint that it found.
type Step = (u32, Option<u32>);

impl Steps {
    fn found(&self, ctx: &TaskContext) -> Result<u32> {
        let found = ctx.checkpoint()?;
        self.0.lock().unwrap().push((ctx.attempt(), found));
        Ok(found.unwrap_or(0))
    }
}

#[tokio::test]
async fn each_retry_goes_on_from_the_checkpoint_and_the_next_occurrence_from_nothing() {
    let steps = Steps::default();
    let kept = steps.clone();
    let fixture = Fixture::with(handler(move |ctx, _| {
        let steps = kept.clone();
        async move {
            let step = steps.found(&ctx)? + 1;
            ctx.save_checkpoint(&step).await?;
            if step < 3 { Err("not yet")? } else { done() }
        }
    }));
    let every_hour =
        azoth_scheduler_runtime::ScheduleTaskRequest::builder("a").task_type("work").interval(3_600);
    fixture.schedule(every_hour).await;
    for _ in 0..2 {
        for wait in [MINUTE * 57, MINUTE * 3, MINUTE, MINUTE * 2] {
            fixture.pass(wait).await;
        }
        let steps = std::mem::take(&mut *steps.0.lock().unwrap());
        assert_eq!(steps, [(1, None), (2, Some(1)), (3, Some(2))]);
    }
    fixture.end().await;
}

struct Blocking(Steps);

impl BlockingTaskHandler for Blocking {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        let step = self.0.found(ctx)? + 1;
        ctx.progress(f64::from(step) / 2.0, "step by step");
        ctx.save_checkpoint_blocking(&step)?;
        if step < 2 { Err("not yet")? } else { TaskEvent::new("done", []) }
    }
}

#[tokio::test]
async fn blocking_handler_saves_and_finds_checkpoints_too() {
    let steps = Steps::default();
    let kept = steps.clone();
    let fixture = Fixture::building(|builder| builder.with_task_handler(Blocking(kept)));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    fixture.pass(MINUTE).await;
    assert_eq!(*steps.0.lock().unwrap(), [(1, None), (2, Some(1))]);
    let task = fixture.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!((task.phase, task.checkpoint), (PhaseKind::Finished, None));
    fixture.end().await;
}

#[tokio::test]
async fn checkpoint_that_cannot_be_kept_is_an_error_that_says_why() {
    let kept = Arc::new(Mutex::new(None));
    let context = Arc::clone(&kept);
    let fixture = Fixture::with(handler(move |ctx, _| {
        *context.lock().unwrap() = Some(ctx.clone());
        async move {
            let refused = ctx.save_checkpoint_blocking(&1).unwrap_err();
            assert!(matches!(refused, SchedulerError::BlockingInAsync), "{refused}");
            let too_large = ctx.save_checkpoint_bytes(vec![0; 256 * 1024 + 1]).await.unwrap_err();
            let text = too_large.to_string();
            assert!(
                text.starts_with("a checkpoint of 262145 bytes is over the limit of 262144: keep"),
                "{text}"
            );
            ctx.save_checkpoint_bytes(vec![b'{'; 256 * 1024]).await?;
            let unread = ctx.checkpoint::<u32>().unwrap_err().to_string();
            assert!(unread.starts_with("the checkpoint cannot be read as u32"), "{unread}");
            assert!(!unread.contains('{'), "{unread}");
            done()
        }
    }));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    assert_eq!(fixture.history("a").await.last(), Some(&"TaskEventEmitted"));
    let ctx = kept.lock().unwrap().take().unwrap();
    assert!(matches!(ctx.save_checkpoint(&1).await, Err(SchedulerError::ExecutionOver)));
    fixture.end().await;
}

#[tokio::test]
async fn checkpoint_outlasts_a_store_that_fails_for_a_while_and_is_kept_once() {
    let gate = Gate::new();
    let passed = gate.clone();
    let fixture = Fixture::with(handler(move |ctx, _| {
        let gate = passed.clone();
        async move {
            gate.pass().await;
            ctx.save_checkpoint(&7).await?;
            done()
        }
    }));
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    settle().await;
    fixture.store.fail_next(1, &Fault::After(StoreError::Unknown { detail: "the disk is gone".to_owned() }));
    fixture.store.fail_next(1, &Fault::Before(StoreError::Busy { waited_ms: 1 }));
    gate.open();
    for _ in 0..10 {
        settle().await;
        fixture.clock.advance(SECOND);
    }
    fixture.idle().await;
    assert_eq!(
        fixture.history("a").await[1..],
        ["ExecutionStarted", "CheckpointSaved", "TaskExecuted", "TaskEventEmitted"]
    );
    fixture.end().await;
}
