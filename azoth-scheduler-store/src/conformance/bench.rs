//! What the cases work with: a store, shorter words for its calls, and the checks at the end of each.

use std::num::NonZeroU64;
use std::sync::Arc;

use azoth_scheduler_core::command::{Command, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::Report;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{Fate, Schedule};
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::{PhaseKind, TaskState};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{
    actor, audit, definition, execution, task_id, task_type, text, wish, worker,
};
use azoth_scheduler_core::time::Timestamp;

use super::factory::StoreFactory;
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedEvent, Subject};
use crate::report::TaskCount;
use crate::store::{
    Applied, Batch, ClaimOffer, Claimed, Claims, ProcessIdentity, Store, StoredTask, Suspects, WorkerInfo,
};

/// A store under test.
pub(super) struct Bench {
    factory: Box<dyn StoreFactory>,
    /// `None` only while it is opened again.
    store: Option<Arc<dyn Store>>,
    minted: u128,
}

impl Bench {
    pub(super) async fn open(factory: impl StoreFactory + 'static) -> Self {
        let store = factory.open().await;
        assert_eq!(store.head().await, Ok(LogPosition::START), "the factory gives an empty store first");
        Self { factory: Box::new(factory), store: Some(store), minted: 0 }
    }

    #[track_caller]
    pub(super) fn store(&self) -> &dyn Store {
        some(self.store.as_deref())
    }

    /// Lets go of the store and opens it again.
    pub(super) async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.factory.open().await);
    }

    /// A number that no other execution or worker of this bench has.
    pub(super) fn mint(&mut self) -> u128 {
        self.minted += 1;
        self.minted
    }

    pub(super) async fn apply(&self, batch: Batch) -> Applied {
        ok(self.store().apply(batch).await)
    }

    /// What the store answers to each of these.
    pub(super) async fn say_all<C: Into<Command>>(
        &self,
        commands: Vec<C>,
        now: Timestamp,
    ) -> Vec<Result<Answer, Rejection>> {
        let count = commands.len();
        let applied = self.apply(Batch::new(commands, now)).await;
        assert_eq!(applied.answers.len(), count, "each command has an answer");
        assert!(applied.claims.is_none(), "nothing was offered");
        applied.answers
    }

    /// What the store answers.
    pub(super) async fn say(&self, command: impl Into<Command>, now: Timestamp) -> Result<Answer, Rejection> {
        self.say_all(vec![command.into()], now).await.remove(0)
    }

    /// The answer to a command that is accepted.
    pub(super) async fn does(&self, command: impl Into<Command>, now: Timestamp) -> Answer {
        let command: Command = command.into();
        match self.say(command.clone(), now).await {
            Ok(answer) => answer,
            Err(rejection) => panic!("{command:?} was refused: {rejection}"),
        }
    }

    /// A worker that is registered.
    pub(super) async fn worker(&mut self, now: Timestamp) -> WorkerId {
        let worker = worker(self.mint());
        ok(self.store().register_worker(worker_info(worker), now).await);
        worker
    }

    pub(super) async fn claim(
        &mut self,
        worker: WorkerId,
        types: &[&str],
        slots: usize,
        now: Timestamp,
    ) -> Claims {
        let offer = self.offer(worker, types, slots);
        let applied = self.apply(Batch::claiming(offer, now)).await;
        some(applied.claims)
    }

    pub(super) fn offer(&mut self, worker: WorkerId, types: &[&str], slots: usize) -> ClaimOffer {
        let task_types: Arc<[TaskType]> = types.iter().map(|name| task_type(name)).collect();
        let executions: Vec<ExecutionId> = (0..slots).map(|_| execution(self.mint())).collect();
        // As a worker offers it that is idle.
        ClaimOffer { suspects: Suspects::IfNothingElse, ..ClaimOffer::new(worker, task_types, executions) }
    }

    /// The one claim that there is of the type `work`.
    pub(super) async fn claim_one(&mut self, worker: WorkerId, now: Timestamp) -> Claimed {
        let mut claims = self.claim(worker, &["work"], 10, now).await;
        assert_eq!(claims.claimed.len(), 1, "at {now}: {claims:?}");
        claims.claimed.remove(0)
    }

    /// Claims the one task that is due, and reports this a second later.
    pub(super) async fn run(&mut self, worker: WorkerId, report: Report, now: Timestamp) -> Claimed {
        let claimed = self.claim_one(worker, now).await;
        let answer = self.does(ends(&claimed, report), now.saturating_add_ms(1_000)).await;
        assert_eq!(answer, Answer::Recorded);
        claimed
    }

    pub(super) async fn task(&self, task: &str) -> StoredTask {
        some(ok(self.store().task(&task_id(task)).await))
    }

    pub(super) async fn state(&self, task: &str) -> TaskState {
        self.task(task).await.state
    }

    pub(super) async fn phase(&self, task: &str) -> PhaseKind {
        self.state(task).await.phase.kind()
    }

    /// From when on the task may be claimed.
    pub(super) async fn run_at(&self, task: &str) -> Timestamp {
        let state = self.state(task).await;
        some(state.waiting()).run_at
    }

    /// All events of a task, oldest first.
    pub(super) async fn history(&self, task: &str) -> Vec<RecordedEvent> {
        History::of(self.store(), &task_id(task)).await.events
    }

    /// The names of a task's events, oldest first.
    pub(super) async fn story(&self, task: &str) -> Vec<&'static str> {
        self.history(task).await.iter().map(|event| event.event.name()).collect()
    }

    /// The passed occurrences of a task: from, to, how many, and their fate.
    pub(super) async fn passed(&self, task: &str) -> Vec<(Timestamp, Timestamp, u64, Fate)> {
        let events = self.history(task).await.into_iter().filter_map(|recorded| {
            let Event::OccurrencesPassed { passed, .. } = recorded.event else { return None };
            Some((passed.from, passed.to, passed.count.number, passed.fate))
        });
        events.collect()
    }

    /// The newest event of a task.
    pub(super) async fn newest(&self, task: &str) -> Event {
        some(self.history(task).await.pop()).event
    }

    /// What must hold of every store at the end of every case.
    pub(super) async fn close(mut self) {
        let before = Answers::of(self.store()).await;
        before.are_in_order();
        assert_sound(self.store()).await;
        ok(self.store().rebuild_projection().await);
        assert_eq!(Answers::of(self.store()).await, before, "a rebuild changes no answer");
        assert_sound(self.store()).await;
        self.reopen().await;
        assert_eq!(Answers::of(self.store()).await, before, "reopening changes no answer");
        assert_sound(self.store()).await;
    }
}

/// Everything that a store says of its tasks and its log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    head: LogPosition,
    /// What is before was cut.
    cut: LogPosition,
    events: Vec<RecordedEvent>,
    tasks: Vec<(StoredTask, History)>,
    scopes: Vec<ScopeState>,
    counts: Vec<TaskCount>,
}

impl Answers {
    pub(super) async fn of(store: &dyn Store) -> Self {
        let mut tasks = Vec::new();
        for state in all_tasks(store).await {
            let stored = some(ok(store.task(&state.id).await));
            assert_eq!(stored.state, state, "a listing and a look-up agree");
            tasks.push((stored, History::of(store, &state.id).await));
        }
        let stats = ok(store.stats(Timestamp::UNIX_EPOCH).await);
        let (cut, mut counts) = (stats.cut, stats.tasks);
        counts.sort_by(|a, b| (&a.task_type, a.phase).cmp(&(&b.task_type, b.phase)));
        let (head, scopes) = (ok(store.head().await), ok(store.scopes().await));
        let events = comparable(all_events(store, cut).await);
        Self { head, cut, events, tasks, scopes, counts }
    }

    pub(super) fn head(&self) -> LogPosition {
        self.head
    }

    /// Positions are dense, histories are the log by task, and each accounts for all that was asked for.
    pub(super) fn are_in_order(&self) {
        let mut ordered_at = None;
        for (event, number) in self.events.iter().zip(self.cut.number() + 1..) {
            assert_eq!(event.position.number(), number, "I3: positions are dense");
            if ordered_at.is_none() && self.cut > LogPosition::START {
                ordered_at = Some(event.ordered_at);
            }
            let newest = ordered_at.map_or(event.at, |newest| event.at.max(newest));
            assert_eq!(event.ordered_at, newest, "the ordered instant is the greatest so far");
            ordered_at = Some(newest);
        }
        let events = self.cut.number() + self.events.len() as u64;
        assert_eq!(self.head.number(), events, "the head is the newest event");
        for (stored, history) in &self.tasks {
            let subject = Subject::Task(stored.state.id.clone());
            // A task that left and was scheduled anew is another one.
            let left = |event: &RecordedEvent| matches!(&event.event, Event::TasksForgotten { tasks, .. } if tasks.contains(&stored.state.id));
            let begins = self.events.iter().rposition(left).map_or(0, |left| left + 1);
            let own = self.events.iter().skip(begins).filter(|event| event.subject == subject);
            let History { events: history, is_cut } = history;
            assert!(own.eq(history), "a history is the log of one task: {subject:?}");
            if *is_cut {
                continue;
            }
            let told: Vec<_> = history.iter().map(|event| (event.at, event.event.clone())).collect();
            if let Err(fault) = audit(&told) {
                panic!("I7, I10, I11 do not hold for {subject:?}: {fault}\n{told:#?}");
            }
        }
    }
}

pub(super) async fn assert_sound(store: &dyn Store) {
    let report = ok(store.verify().await);
    assert!(report.is_sound(), "I5: {:#?}", report.findings);
    assert_eq!(report.head, ok(store.head().await), "all of the log was read");
}

pub(super) async fn all_tasks(store: &dyn Store) -> Vec<TaskState> {
    let mut tasks: Vec<TaskState> = Vec::new();
    loop {
        let filter = TaskFilter::new().limit(PAGE_TASKS);
        let page = match tasks.last() {
            None => store.tasks(&filter).await,
            Some(last) => store.tasks(&filter.after(last.id.clone())).await,
        };
        let page = ok(page);
        let is_last = page.len() < PAGE_TASKS;
        assert!(tasks.len() < TASKS_MAX, "a listing that is read in pages comes to its end");
        tasks.extend(page);
        if is_last {
            return tasks;
        }
    }
}

async fn all_events(store: &dyn Store, cut: LogPosition) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(cut, |event| event.position);
        let page = ok(store.events(after, PAGE_EVENTS).await);
        let Some(first) = page.first() else { return events };
        assert!(first.position > after, "a page lies behind the one before it");
        events.extend(page);
    }
}

/// Events of a task, oldest first, as far as they are there.
#[derive(Debug, PartialEq, Eq)]
struct History {
    events: Vec<RecordedEvent>,
    /// Those before were cut.
    is_cut: bool,
}

impl History {
    async fn of(store: &dyn Store, task: &TaskId) -> Self {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let is_cut = loop {
            let before = events.last().map(|event| event.position);
            let page = match store.history(task, before, PAGE_EVENTS).await {
                Err(StoreError::LogCut { .. }) => break true,
                page => ok(page),
            };
            let Some(first) = page.first() else { break false };
            assert!(
                before.is_none_or(|before| first.position < before),
                "a page lies before the one after it"
            );
            events.extend(page);
        };
        events.reverse();
        Self { events, is_cut }
    }
}

/// Events in which stores may not differ: each has a chain and a snapshot of its own, or none.
pub(super) fn comparable(mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    for recorded in &mut events {
        if let Event::LogCut { hash, snapshot, .. } = &mut recorded.event {
            (*hash, *snapshot) = ([0; 32], [0; 32]);
        }
    }
    events
}

/// The wish to schedule a task with every default.
pub(super) fn want(task: &str, schedule: Schedule) -> TaskCommand {
    want_with(task, schedule, OnConflict::Redefine, |_| {})
}

/// The wish to schedule a task whose definition is changed like this.
pub(super) fn want_with(
    task: &str,
    schedule: Schedule,
    on_conflict: OnConflict,
    change: impl FnOnce(&mut TaskDefinition),
) -> TaskCommand {
    let mut definition = definition(schedule);
    change(&mut definition);
    wish(task, Wish::Schedule(NewTask::new(definition, Payload::empty(), on_conflict)))
}

/// The wish to schedule a task that is given these bytes.
pub(super) fn want_bytes(task: &str, schedule: Schedule, bytes: &[u8]) -> TaskCommand {
    let new = NewTask::new(definition(schedule), Payload::new(bytes), OnConflict::Redefine);
    wish(task, Wish::Schedule(new))
}

/// The wish to record how an execution ended.
pub(super) fn ends(claimed: &Claimed, report: Report) -> TaskCommand {
    let (execution, started_at) = (claimed.execution, claimed.claimed_at);
    TaskCommand { task: claimed.task.clone(), wish: Wish::Complete { execution, started_at, report } }
}

/// The wish to cancel a task.
pub(super) fn cancel(task: &str) -> TaskCommand {
    wish(task, Wish::Cancel { reason: text("no more"), by: actor("ops") })
}

/// Every so many seconds from its definition on.
pub(super) fn every(seconds: u64) -> Schedule {
    ok(Schedule::interval_secs(seconds))
}

pub(super) fn worker_info(worker: WorkerId) -> WorkerInfo {
    let process = ProcessIdentity { pid: 4711, started: u64::MAX, boot_id: "boot".to_owned() };
    let lease_ms = NonZeroU64::new(15_000).unwrap_or(NonZeroU64::MIN);
    WorkerInfo { worker, process, lease_ms, task_types: [task_type("work")].into() }
}

#[track_caller]
pub(super) fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub(super) fn some<T>(option: Option<T>) -> T {
    match option {
        Some(value) => value,
        None => panic!("there is one"),
    }
}

/// No case makes so many tasks.
const TASKS_MAX: usize = 100_000;
const PAGE_TASKS: usize = 100;
const PAGE_EVENTS: usize = 100;
