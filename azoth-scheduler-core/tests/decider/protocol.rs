//! Claim, lease and fence: every order in which workers can claim, finish, pause, crash and be declared dead while the
//! clock jumps, walked through breadth first over the real `decide` and `evolve`.
//!
//! What must always hold is checked against a ledger of its own, kept from the events alone. Rules that are broken on
//! purpose show that the walk finds what it is there to find.

use std::collections::{HashSet, VecDeque};

use azoth_scheduler_core::command::{AbandonReason, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::{Answer, Decision, LOSSES_MAX, decide};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::id::WorkerId;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::{DisabledReason, TaskPhase, TaskState};
use azoth_scheduler_core::testing::{at, execution, failed, schedule, succeeded, wish, worker};
use azoth_scheduler_core::time::Timestamp;

/// The rules under test: `decide`, or something that is broken.
type Rules = fn(&TaskState, &TaskCommand, Timestamp) -> Result<Decision, Rejection>;

/// How much of the world is walked through.
#[derive(Clone, Copy)]
struct Bounds {
    workers: usize,
    executions: u128,
    /// Whether the clock jumps, once back and once forward.
    jumps: bool,
    /// Whether attempts fail by themselves.
    fails: bool,
}

/// Everything that matters at one moment.
#[derive(Clone)]
struct World {
    task: TaskState,
    now: i64,
    jumps_left: [bool; 2],
    workers: Vec<Worker>,
    /// Each execution that was started, in order; its number is its place, from 1.
    ledger: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Worker {
    /// It changes when a new incarnation takes its place.
    id: u128,
    condition: Condition,
    /// The execution whose handler it runs, or ran when it was paused.
    works_on: Option<u128>,
    /// The store says that it has ended.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Alive,
    Paused,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Runs,
    Succeeded,
    Failed,
    Lost,
    GivenBack,
}

/// What may happen next. A worker is named by its place, an execution by its number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Claim(usize),
    Finish { worker: usize, well: bool },
    GiveBack(usize),
    Pause(usize),
    Resume(usize),
    Crash(usize),
    DeclareDead(usize),
    Abandon(u128),
    Restart(usize),
    WaitUntilDue,
    Jump { back: bool },
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let command = schedule("task", Schedule::immediate(), OnConflict::Redefine);
        let events = decide(None, &command, at(0)).unwrap().events;
        let task = events.iter().fold(None, |state, event| Some(evolve(state, event, at(0)).unwrap()));
        let worker = |id| Worker { id, condition: Condition::Alive, works_on: None, ended: false };
        Self {
            task: task.unwrap(),
            now: 0,
            jumps_left: [bounds.jumps; 2],
            workers: (1..=bounds.workers as u128).map(worker).collect(),
            ledger: Vec::new(),
        }
    }

    fn steps(&self, bounds: Bounds) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, worker) in self.workers.iter().enumerate() {
            match (worker.condition, worker.works_on) {
                (Condition::Alive, None) => {
                    if !worker.ended && (self.ledger.len() as u128) < bounds.executions {
                        steps.push(Step::Claim(place));
                    }
                    if worker.ended {
                        steps.push(Step::Restart(place));
                    }
                }
                (Condition::Alive, Some(_)) => {
                    steps.push(Step::Finish { worker: place, well: true });
                    if bounds.fails {
                        steps.push(Step::Finish { worker: place, well: false });
                    }
                    steps.extend([Step::GiveBack(place), Step::Pause(place), Step::Crash(place)]);
                }
                (Condition::Paused, _) => steps.extend([Step::Resume(place), Step::Crash(place)]),
                (Condition::Gone, _) => steps.push(Step::Restart(place)),
            }
            // A lease lapses only where there is no sign of life.
            if worker.condition != Condition::Alive && !worker.ended {
                steps.push(Step::DeclareDead(place));
            }
        }
        if let Some(running) = self.task.running()
            && !self.workers.iter().any(|worker| self.lives(worker, running.worker))
        {
            steps.push(Step::Abandon(running.execution.as_u128()));
        }
        if self.task.waiting().is_some_and(|work| work.run_at > at(self.now)) {
            steps.push(Step::WaitUntilDue);
        }
        let jumps = [true, false].into_iter().zip(self.jumps_left);
        steps.extend(jumps.filter(|(_, left)| *left).map(|(back, _)| Step::Jump { back }));
        steps
    }

    fn lives(&self, worker: &Worker, id: WorkerId) -> bool {
        WorkerId::from_u128(worker.id) == id && !worker.ended
    }

    /// The world after a step.
    fn after(&self, step: Step, rules: Rules) -> Result<Self, String> {
        let mut world = self.clone();
        match step {
            Step::Claim(place) => {
                let number = world.ledger.len() as u128 + 1;
                let by = worker(world.workers[place].id);
                let claim = Wish::Claim { execution: execution(number), worker: by };
                if world.tell(claim, None, rules)? == Ok(Answer::Started) {
                    world.workers[place].works_on = Some(number);
                }
            }
            Step::Finish { worker, well } => {
                let number = world.workers[worker].works_on.take().expect("it works");
                let report = if well { succeeded() } else { failed(FailureClass::Retryable) };
                let wish = Wish::Complete { execution: execution(number), started_at: at(0), report };
                // Refused or not, it is none of the worker's business any more.
                let _ = world.tell(wish, Some(number), rules)?;
            }
            Step::GiveBack(place) => {
                let number = world.workers[place].works_on.take().expect("it works");
                let _ = world.abandon(number, AbandonReason::ShutDown, rules)?;
            }
            Step::Abandon(number) => {
                let _ = world.abandon(number, AbandonReason::WorkerLost, rules)?;
            }
            Step::Pause(place) => world.workers[place].condition = Condition::Paused,
            Step::Resume(place) => world.workers[place].condition = Condition::Alive,
            Step::Crash(place) => {
                world.workers[place].condition = Condition::Gone;
                world.workers[place].works_on = None;
            }
            Step::DeclareDead(place) => world.workers[place].ended = true,
            Step::Restart(place) => {
                let id = world.workers[place].id + 100;
                world.workers[place] =
                    Worker { id, condition: Condition::Alive, works_on: None, ended: false };
            }
            Step::WaitUntilDue => {
                let due = world.task.waiting().expect("it waits").run_at;
                world.now = due.ms_since(at(0)).div_euclid(1_000) + 1;
            }
            Step::Jump { back } => {
                world.jumps_left[usize::from(!back)] = false;
                world.now += if back { -86_400 } else { 7 * 86_400 };
            }
        }
        Ok(world)
    }

    fn abandon(
        &mut self,
        number: u128,
        why: AbandonReason,
        rules: Rules,
    ) -> Result<Result<Answer, Rejection>, String> {
        let wish = Wish::Abandon { execution: execution(number), why, last_seen: at(self.now) };
        self.tell(wish, Some(number), rules)
    }

    /// Has a command decided, folds its events, and holds them against the ledger. `of` is the execution that it speaks of.
    fn tell(
        &mut self,
        said: Wish,
        of: Option<u128>,
        rules: Rules,
    ) -> Result<Result<Answer, Rejection>, String> {
        let now = at(self.now);
        let Decision { events, answer } = match rules(&self.task, &wish("task", said), now) {
            Ok(decision) => decision,
            Err(rejection) => return Ok(Err(rejection)),
        };
        for event in &events {
            self.enter(event, of)?;
            self.task = evolve(Some(self.task.clone()), event, now).map_err(|error| error.to_string())?;
        }
        self.check()?;
        Ok(Ok(answer))
    }

    fn enter(&mut self, event: &Event, of: Option<u128>) -> Result<(), String> {
        match event {
            Event::ExecutionStarted { execution, attempt, worker, .. } => {
                // I7
                ensure(!self.ledger.contains(&Entry::Runs), "a second execution starts while one runs")?;
                let number = self.ledger.len() as u128 + 1;
                ensure(execution.as_u128() == number, "an execution starts a second time")?;
                // I9
                ensure(u128::from(attempt.get()) == number, "a claim was not counted as an attempt")?;
                ensure(self.count(Entry::Lost) < LOSSES_MAX as usize, "a claim beyond the limit of losses")?;
                let max_retries = self.task.definition.retry.max_retries as usize;
                ensure(self.count(Entry::Failed) <= max_retries, "a claim beyond the limit of retries")?;
                ensure(!self.ledger.contains(&Entry::Succeeded), "a claim after the success")?;
                // I13
                let lives = self.workers.iter().any(|known| self.lives(known, *worker));
                ensure(lives, "a worker that has ended claims")?;
                self.ledger.push(Entry::Runs);
                Ok(())
            }
            Event::TaskExecuted { execution, outcome, .. } => {
                let well = matches!(outcome, Outcome::Succeeded(()));
                let end = if well { Entry::Succeeded } else { Entry::Failed };
                self.end(execution.as_u128(), of, end)
            }
            Event::ExecutionAbandoned { execution, why, .. } => {
                let end = if *why == AbandonReason::WorkerLost { Entry::Lost } else { Entry::GivenBack };
                self.end(execution.as_u128(), of, end)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, number: u128, of: Option<u128>, end: Entry) -> Result<(), String> {
        // I8
        ensure(of == Some(number), "what one execution came to is recorded of another")?;
        let place = usize::try_from(number).expect("numbers are small") - 1;
        // I7
        let entry = self.ledger.get_mut(place).filter(|entry| **entry == Entry::Runs);
        *entry.ok_or("an execution ends that does not run")? = end;
        Ok(())
    }

    fn count(&self, wanted: Entry) -> usize {
        self.ledger.iter().filter(|entry| **entry == wanted).count()
    }

    fn check(&self) -> Result<(), String> {
        let runs = self.ledger.iter().position(|entry| *entry == Entry::Runs).map(|place| place as u128 + 1);
        let holder = self.task.held_by().map(|id| id.as_u128());
        ensure(runs == holder, "the execution that runs is not the one that holds the task")
    }

    /// What tells this world from others. The task's definition never changes, and what has ended stays as it is.
    fn key(&self) -> Vec<i64> {
        let number = |number: u128| i64::try_from(number).expect("numbers are small");
        let mut key = vec![self.now, i64::from(self.jumps_left[0]), i64::from(self.jumps_left[1])];
        key.push(self.task.phase.kind() as i64);
        if let Some(work) = self.task.waiting() {
            key.extend([i64::from(work.attempt.get()), work.run_at.ms_since(at(0))]);
        }
        if let Some(running) = self.task.running() {
            key.extend([number(running.execution.as_u128()), number(running.worker.as_u128())]);
        }
        key.extend([self.task.counts.failures, self.task.counts.losses].map(i64::from));
        for worker in &self.workers {
            let works_on = worker.works_on.map_or(-1, number);
            key.extend([number(worker.id), worker.condition as i64, works_on, i64::from(worker.ended)]);
        }
        key.extend(self.ledger.iter().map(|entry| *entry as i64));
        key
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// What a walk has seen.
#[derive(Debug, Default)]
struct Seen {
    worlds: usize,
    finished: usize,
    exhausted: usize,
    lost_too_often: usize,
    refused_late: usize,
}

/// Walks through every world within the bounds; the shortest way to the first one in which something does not hold.
fn walk(bounds: Bounds, rules: Rules) -> Result<Seen, (String, Vec<Step>)> {
    let start = World::new(bounds);
    let mut seen = Seen::default();
    let mut known = HashSet::from([start.key()]);
    let mut ways: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut queue = VecDeque::from([(0, start)]);
    while let Some((place, world)) = queue.pop_front() {
        seen.worlds += 1;
        match &world.task.phase {
            TaskPhase::Finished { .. } => seen.finished += 1,
            TaskPhase::Disabled { because: DisabledReason::Exhausted { .. }, .. } => seen.exhausted += 1,
            TaskPhase::Disabled { because: DisabledReason::Losses { .. }, .. } => seen.lost_too_often += 1,
            _ => {}
        }
        for step in world.steps(bounds) {
            let next = world.after(step, rules).map_err(|what| (what, way_to(&ways, place, step)))?;
            if let Step::Finish { .. } = step
                && next.ledger == world.ledger
            {
                seen.refused_late += 1;
            }
            if known.insert(next.key()) {
                ways.push((place, Some(step)));
                queue.push_back((ways.len() - 1, next));
            }
        }
    }
    Ok(seen)
}

fn way_to(ways: &[(usize, Option<Step>)], mut place: usize, last: Step) -> Vec<Step> {
    let mut steps = vec![last];
    while let (before, Some(step)) = ways[place] {
        steps.push(step);
        place = before;
    }
    steps.reverse();
    steps
}

fn real(state: &TaskState, command: &TaskCommand, now: Timestamp) -> Result<Decision, Rejection> {
    decide(Some(state), command, now)
}

/// Without the fence: a result counts for whatever execution holds the task.
fn without_fence(state: &TaskState, command: &TaskCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let mut command = command.clone();
    if let (Wish::Complete { execution, .. }, Some(holder)) = (&mut command.wish, state.held_by()) {
        *execution = holder;
    }
    decide(Some(state), &command, now)
}

/// A process that died is taken for one that gave its task back: its loss is not counted.
fn without_losses(state: &TaskState, command: &TaskCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let mut command = command.clone();
    let Wish::Abandon { why, .. } = &mut command.wish else { return decide(Some(state), &command, now) };
    let said = std::mem::replace(why, AbandonReason::ShutDown);
    let mut decision = decide(Some(state), &command, now)?;
    if let Some(Event::ExecutionAbandoned { why, .. }) = decision.events.first_mut() {
        *why = said;
    }
    Ok(decision)
}

/// A claim whose attempt is counted only when it ends.
fn counting_at_the_end(
    state: &TaskState,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let mut decision = decide(Some(state), command, now)?;
    if let Some(Event::ExecutionStarted { attempt, .. }) = decision.events.last_mut() {
        let ended = 1 + state.counts.failures;
        *attempt = ended.try_into().expect("it is above zero");
    }
    Ok(decision)
}

const THREE_ATTEMPTS: Bounds = Bounds { workers: 2, executions: 3, jumps: true, fails: true };
const THREE_WORKERS: Bounds = Bounds { workers: 3, executions: 2, jumps: false, fails: true };
const MANY_FAILURES: Bounds = Bounds { workers: 1, executions: 5, jumps: false, fails: true };
const MANY_LOSSES: Bounds =
    Bounds { workers: 1, executions: LOSSES_MAX as u128 + 1, jumps: false, fails: false };

#[test]
fn whatever_workers_and_clocks_do_the_protocol_holds() {
    let walked = |bounds| walk(bounds, real).unwrap_or_else(|(what, way)| panic!("{what}: {way:#?}"));
    for bounds in [THREE_ATTEMPTS, THREE_WORKERS] {
        let seen = walked(bounds);
        assert!(seen.worlds > 500 && seen.finished > 0 && seen.refused_late > 0, "{seen:?}");
    }
    assert!(walked(MANY_FAILURES).exhausted > 0);
    assert!(walked(MANY_LOSSES).lost_too_often > 0);
}

#[test]
fn rules_that_are_broken_are_found() {
    let found = |bounds, rules| walk(bounds, rules).expect_err("a broken rule is found");
    let (what, way) = found(THREE_ATTEMPTS, without_fence as Rules);
    assert!(what.contains("recorded of another"), "{what}");
    assert!(matches!(way.last(), Some(Step::Finish { .. })), "{way:?}");
    let (what, _) = found(MANY_LOSSES, without_losses);
    assert!(what.contains("beyond the limit of losses"), "{what}");
    let (what, _) = found(THREE_ATTEMPTS, counting_at_the_end);
    assert!(what.contains("not counted"), "{what}");
}
