//! Random histories: the SQLite store against the reference store, over reopenings and rebuilds.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{AbandonReason, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::execution::{Emitted, ErrorText, Failure, FailureClass, Outcome, Report};
use azoth_scheduler_core::id::{EventType, ExecutionId, GroupName};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::{OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Overlap, Schedule};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::sqlite::Synchronous;
use azoth_scheduler_store::{Batch, ClaimOffer, LogPosition, MemoryStore, SqliteStore, Store, TaskFilter};

use crate::support::*;

const STEPS: u64 = 250;
const TASKS: u64 = 12;

/// A seeded source of numbers (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

#[tokio::test]
async fn random_histories_are_those_of_the_reference_store() {
    for seed in 0..12 {
        history(seed).await;
    }
}

async fn history(seed: u64) {
    let folder = Folder::new();
    let open = || SqliteStore::open_with(folder.path(), options().synchronous(Synchronous::Normal)).unwrap();
    let (mut store, model) = (open(), MemoryStore::new());
    let mut draw = Draw(seed);
    let (mut now, mut next_id) = (0_i64, 1_u128);
    let mut held: Vec<(String, ExecutionId)> = Vec::new();
    for by in [1, 2] {
        store.register_worker(worker_info(by), at(0)).await.unwrap();
        model.register_worker(worker_info(by), at(0)).await.unwrap();
    }
    for step in 0..STEPS {
        // Clocks jump, also backwards.
        now += draw.one_of(&[0, 0, 1, 5, 30, 90, 4_000, -20]);
        let batch = random_batch(&mut draw, at(now), &held, &mut next_id);
        let (got, wanted) = (store.apply(batch.clone()).await.unwrap(), model.apply(batch).await.unwrap());
        assert_eq!(format!("{got:?}"), format!("{wanted:?}"), "seed {seed}, step {step}");
        for claim in got.claims.into_iter().flat_map(|claims| claims.claimed) {
            held.push((claim.task.to_string(), claim.execution));
        }
        if draw.below(40) == 0 {
            drop(store);
            store = open();
        }
        if step % 50 == 49 {
            assert_same(&store, &model, at(now)).await;
        }
    }
    let live = folder.projection();
    store.rebuild_projection().await.unwrap();
    assert_eq!(folder.projection(), live, "seed {seed}: rebuilt rows equal live ones to the last bit");
    assert_same(&store, &model, at(now)).await;
    assert_sound(&store).await;
}

async fn assert_same(store: &SqliteStore, model: &MemoryStore, now: Timestamp) {
    let all = TaskFilter::new();
    assert_eq!(store.tasks(&all).await.unwrap(), model.tasks(&all).await.unwrap());
    for task in store.tasks(&all).await.unwrap() {
        assert_eq!(store.task(&task.id).await.unwrap(), model.task(&task.id).await.unwrap());
        let (got, wanted) = (store.history(&task.id, None, 7).await, model.history(&task.id, None, 7).await);
        assert_eq!(got, wanted);
        let before = got.unwrap().last().map(|event| event.position);
        let got = store.history(&task.id, before, 1_000).await.unwrap();
        assert_eq!(got, model.history(&task.id, before, 1_000).await.unwrap());
    }
    let mut after = LogPosition::START;
    loop {
        let page = store.events(after, 100).await.unwrap();
        assert_eq!(page, model.events(after, 100).await.unwrap());
        let Some(last) = page.last() else { break };
        after = last.position;
    }
    let (got, wanted) = (store.stats(now).await.unwrap(), model.stats(now).await.unwrap());
    assert_eq!((got.tasks, got.oldest_due, got.head), (wanted.tasks, wanted.oldest_due, wanted.head));
    assert_eq!(store.orphans(100).await, model.orphans(100).await);
}

fn random_batch(
    draw: &mut Draw,
    now: Timestamp,
    held: &[(String, ExecutionId)],
    next_id: &mut u128,
) -> Batch {
    let commands: Vec<_> = (0..draw.below(4)).map(|_| random_command(draw, now, held)).collect();
    let ids = *next_id..*next_id + u128::from(draw.below(6));
    *next_id = ids.end;
    let by = draw.one_of(&[1, 2]);
    let task_types = draw.one_of(&[vec![kind("work")], vec![kind("other"), kind("work")]]).into();
    let offer = ClaimOffer::new(worker(by), task_types, ids.map(execution).collect());
    let offer = Some(offer).filter(|_| draw.below(3) > 0);
    Batch { offer, ..Batch::new(commands, now) }
}

fn random_command(draw: &mut Draw, now: Timestamp, held: &[(String, ExecutionId)]) -> TaskCommand {
    let name = format!("task-{}", draw.below(TASKS));
    let words = ErrorText::new(draw.one_of(&["because", "no reason", ""]));
    let by = actor();
    let wish = match draw.below(20) {
        0..=5 => Wish::Schedule(random_task(draw)),
        6 => Wish::Cancel { reason: words, by },
        7 | 8 => Wish::Pause { reason: words, by, until: None },
        9 | 10 => Wish::Resume { misfire: draw.one_of(&[MisfirePolicy::Skip, MisfirePolicy::RunOnce]), by },
        11 => Wish::Disable { reason: words, by },
        kind => {
            let Some((task, execution)) = held
                .len()
                .checked_sub(1)
                .map(|last| held[last - draw.below(held.len().min(8) as u64) as usize].clone())
            else {
                return job(&name);
            };
            let wish = if kind < 14 {
                let why = [AbandonReason::WorkerLost, AbandonReason::ShutDown, AbandonReason::NotStarted];
                Wish::Abandon { execution, why: draw.one_of(&why), last_seen: now }
            } else {
                Wish::Complete { execution, started_at: now, report: random_report(draw) }
            };
            return TaskCommand { task: id(&task), wish };
        }
    };
    TaskCommand { task: id(&name), wish }
}

fn random_report(draw: &mut Draw) -> Report {
    let class = draw.one_of(&[
        FailureClass::Retryable,
        FailureClass::RetryAfter { delay_ms: 5_000 },
        FailureClass::Permanent,
    ]);
    let emitted = Emitted {
        event_type: EventType::new("done").unwrap(),
        payload: Payload::new(draw.one_of(&[vec![], vec![1, 2, 3]])),
    };
    let failure = Failure { class, message: ErrorText::new("it broke"), sources: vec![] };
    match draw.below(6) {
        0 | 1 => Outcome::Succeeded(emitted.into()),
        2 | 3 => Outcome::Failed(failure),
        4 => Outcome::TimedOut { timeout_ms: 60_000 },
        _ => Outcome::Snoozed { for_ms: 3_000 },
    }
}

fn random_task(draw: &mut Draw) -> NewTask {
    let mut schedule = match draw.below(4) {
        0 => Schedule::immediate(),
        1 => Schedule::one_time(at(draw.below(1_000) as i64)),
        2 => Schedule::interval_secs(draw.one_of(&[7, 60, 3_600])).unwrap(),
        _ => Schedule::cron("0 */5 * * * *").unwrap(),
    };
    let catch_up = MisfirePolicy::CatchUp { limit: NonZeroU32::new(3).unwrap() };
    let policy = draw.one_of(&[MisfirePolicy::RunOnce, MisfirePolicy::Skip, catch_up]);
    schedule.misfire = Misfire { policy, ..schedule.misfire };
    schedule.overlap = draw.one_of(&[Overlap::Skip, Overlap::BufferOne]);
    schedule.max_runs = draw.one_of(&[None, None, NonZeroU32::new(5)]);
    let definition = TaskDefinition {
        task_type: kind(draw.one_of(&["work", "other", "nobody's"])),
        payload: Payload::empty().digest(),
        schedule,
        retry: RetryPolicy {
            max_retries: draw.one_of(&[0, 1, 3]),
            on_exhausted: draw.one_of(&[OnExhausted::Disable, OnExhausted::Continue]),
            ..RetryPolicy::default()
        },
        timeout_ms: NonZeroU64::new(1 + draw.below(1_000)).unwrap(),
        priority: draw.one_of(&Priority::ALL),
        group: draw.one_of(&[None, GroupName::new("group").ok()]),
        concurrency_key: None,
        after: None,
        unique: None,
    };
    let on_conflict = [OnConflict::Redefine, OnConflict::Redefine, OnConflict::Replace, OnConflict::Keep];
    let payload = Payload::new(draw.one_of(&[vec![], b"payload".to_vec(), vec![0; 5_000]]));
    NewTask::new(definition, payload, draw.one_of(&on_conflict))
}
