//! One command and all that follows from it for other tasks, in one transaction of a store.
//!
//! A decision is about one task. What goes beyond it stands here, so that every store does the same: the tasks that a
//! new one waits for, the holder of its idempotency key, what an end means to those that wait, and the tasks that a
//! handler scheduled with its success. A store brings look-ups and a place to record.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use crate::command::{TaskCommand, Wish};
use crate::decide::{Answer, Surroundings, decide_among, dependency_ended};
use crate::dependency::DependencyEnd;
use crate::event::Event;
use crate::evolve::evolve;
use crate::execution::{ErrorText, Failure, FailureClass, Outcome};
use crate::id::{IdempotencyKey, TaskId};
use crate::payload::Payload;
use crate::rejection::Rejection;
use crate::state::TaskState;
use crate::time::Timestamp;

/// A store within one of its transactions. Each look-up sees what was recorded in it so far.
pub trait Ground {
    /// Why a look-up or a record fails.
    type Error;

    /// A task as it stands.
    fn task(&mut self, id: &TaskId) -> Result<Option<&TaskState>, Self::Error>;

    /// The task that was last defined with this idempotency key.
    fn newest_with_key(&mut self, key: &IdempotencyKey) -> Result<Option<TaskState>, Self::Error>;

    /// The tasks that wait for this one, in the order of their creation.
    fn waiters(&mut self, dependency: &TaskId) -> Result<Vec<TaskId>, Self::Error>;

    /// Writes down what happened to a task. `payload` are the bytes that one of the events refers to.
    fn record(
        &mut self,
        task: &TaskId,
        events: Vec<Event>,
        payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<(), Self::Error>;
}

/// Decides a command, and records what it comes to for its task and for others.
///
/// What a handler scheduled with its success happens with it, or not at all: a result that is refused schedules nothing
/// (I24), and where one of those tasks is refused, none is scheduled and the attempt fails with the refusal as its error.
///
/// # Errors
/// What the store's look-ups and records fail with. The inner error is the refusal; nothing is recorded then.
pub fn carry_out<G: Ground>(
    ground: &mut G,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Result<Answer, Rejection>, G::Error> {
    if command.wish.success().is_none_or(|success| success.children.is_empty()) {
        return one(ground, command, now);
    }
    match family(&mut Rehearsal::on(ground), command, now)? {
        Ok(_) => Ok(family(ground, command, now)?.map_err(Refused::into_rejection)),
        Err(Refused::Parent(rejection)) => Ok(Err(rejection)),
        Err(Refused::Child(rejection)) => {
            let message = format!("a task that it scheduled was refused: {rejection}");
            one(ground, &failing(command, ErrorText::new(message)), now)
        }
    }
}

/// Who refused, of a parent and the tasks that it scheduled.
enum Refused {
    Parent(Rejection),
    Child(Rejection),
}

impl Refused {
    fn into_rejection(self) -> Rejection {
        match self {
            Refused::Parent(rejection) | Refused::Child(rejection) => rejection,
        }
    }
}

/// A success and what it scheduled.
fn family<G: Ground>(
    ground: &mut G,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Result<Answer, Refused>, G::Error> {
    let answer = match one(ground, command, now)? {
        Ok(answer) => answer,
        Err(rejection) => return Ok(Err(Refused::Parent(rejection))),
    };
    let children = command.wish.success().map_or(&[][..], |success| &success.children);
    for child in children {
        let wish = Wish::Schedule(child.new.clone());
        if let Err(rejection) = one(ground, &TaskCommand { task: child.task.clone(), wish }, now)? {
            return Ok(Err(Refused::Child(rejection)));
        }
    }
    Ok(Ok(answer))
}

/// One command, and what it means to those that wait for its task.
fn one<G: Ground>(
    ground: &mut G,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Result<Answer, Rejection>, G::Error> {
    let surroundings = look_around(ground, command, now)?;
    let state = ground.task(&command.task)?;
    let running = state.is_some_and(|state| state.held_by().is_some());
    let decision = match decide_among(state, command, &surroundings, now) {
        Ok(decision) => decision,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if !decision.events.is_empty() {
        let end = DependencyEnd::of_events(&decision.events, running);
        ground.record(&command.task, decision.events, command.wish.payload(), now)?;
        if let Some(end) = end {
            tell_waiters(ground, command.task.clone(), end, now)?;
        }
    }
    Ok(Ok(decision.answer))
}

/// I25: those that wait for a task learn of its end in the transaction in which it ends; one that is cancelled by this
/// ends too. The cost is the number of those that wait.
fn tell_waiters<G: Ground>(
    ground: &mut G,
    task: TaskId,
    end: DependencyEnd,
    now: Timestamp,
) -> Result<(), G::Error> {
    let mut ended = VecDeque::from([(task, end)]);
    while let Some((dependency, end)) = ended.pop_front() {
        for waiter in ground.waiters(&dependency)? {
            let state = ground.task(&waiter)?;
            let events = state.map_or_else(Vec::new, |state| dependency_ended(state, &dependency, end, now));
            let its_end = DependencyEnd::of_events(&events, false);
            if !events.is_empty() {
                ground.record(&waiter, events, None, now)?;
            }
            ended.extend(its_end.map(|end| (waiter, end)));
        }
    }
    Ok(())
}

/// What a decision must know of other tasks.
fn look_around<G: Ground>(
    ground: &mut G,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Surroundings, G::Error> {
    let Wish::Schedule(new) = &command.wish else { return Ok(Surroundings::default()) };
    let mut surroundings = Surroundings::default();
    if let Some(unique) = &new.definition().unique {
        let newest = ground.newest_with_key(&unique.key)?;
        let holder = newest
            .filter(|state| state.definition.unique.as_ref().is_some_and(|unique| unique.holds(state, now)));
        surroundings.key_held_by = holder.map(|state| state.id);
    }
    let named = command.wish.dependencies();
    for dependency in named {
        if let Some(state) = ground.task(dependency)? {
            surroundings.dependencies.insert(dependency.clone(), state.phase.kind());
        }
    }
    // Nobody waits for a task that is new, so only one that others wait for can close a circle.
    if !named.is_empty() && !ground.waiters(&command.task)?.is_empty() {
        surroundings.circle = waits_for_itself(ground, &command.task, named)?;
    }
    Ok(surroundings)
}

/// Whether one of these waits, however far away, for the task. A walk that finds no end says so too.
fn waits_for_itself<G: Ground>(
    ground: &mut G,
    task: &TaskId,
    named: &[TaskId],
) -> Result<Option<TaskId>, G::Error> {
    for first in named {
        let mut seen = BTreeSet::from([first.clone()]);
        let mut next = Vec::from([first.clone()]);
        while let Some(id) = next.pop() {
            if id == *task || seen.len() > WALK_TASKS_MAX {
                return Ok(Some(first.clone()));
            }
            let waits_for = ground.task(&id)?.map_or(&[][..], |state| &state.waits_for);
            next.extend(waits_for.iter().filter(|id| seen.insert((*id).clone())).cloned());
        }
    }
    Ok(None)
}

/// No more tasks are looked at to see whether a task would wait for itself.
const WALK_TASKS_MAX: usize = 10_000;

/// The same end of an execution as a failure.
fn failing(command: &TaskCommand, message: ErrorText) -> TaskCommand {
    let mut command = command.clone();
    if let Wish::Complete { report, .. } = &mut command.wish {
        let (class, sources) = (FailureClass::Retryable, Vec::new());
        *report = Outcome::Failed(Failure { class, message, sources });
    }
    command
}

/// What would be, if it were recorded.
struct Rehearsal<'a, G> {
    ground: &'a mut G,
    states: BTreeMap<TaskId, TaskState>,
}

impl<'a, G: Ground> Rehearsal<'a, G> {
    fn on(ground: &'a mut G) -> Self {
        Self { ground, states: BTreeMap::new() }
    }
}

impl<G: Ground> Ground for Rehearsal<'_, G> {
    type Error = G::Error;

    fn task(&mut self, id: &TaskId) -> Result<Option<&TaskState>, G::Error> {
        match self.states.get(id) {
            Some(state) => Ok(Some(state)),
            None => self.ground.task(id),
        }
    }

    fn newest_with_key(&mut self, key: &IdempotencyKey) -> Result<Option<TaskState>, G::Error> {
        let has_key =
            |state: &&TaskState| state.definition.unique.as_ref().is_some_and(|unique| unique.key == *key);
        let newest = self.states.values().filter(has_key).max_by_key(|state| state.defined_at);
        match newest {
            Some(state) => Ok(Some(state.clone())),
            None => self.ground.newest_with_key(key),
        }
    }

    fn waiters(&mut self, dependency: &TaskId) -> Result<Vec<TaskId>, G::Error> {
        let mut waiters = self.ground.waiters(dependency)?;
        waiters.retain(|waiter| !self.states.contains_key(waiter));
        let waits = |state: &&TaskState| state.waits_for.contains(dependency);
        waiters.extend(self.states.values().filter(waits).map(|state| state.id.clone()));
        Ok(waiters)
    }

    fn record(
        &mut self,
        task: &TaskId,
        events: Vec<Event>,
        _payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<(), G::Error> {
        let mut state = self.task(task)?.cloned();
        for event in &events {
            let after = evolve(state, event, now);
            assert!(after.is_ok(), "a decision follows from the state that it was made in: {after:?}");
            state = after.ok();
        }
        self.states.extend(state.map(|state| (task.clone(), state)));
        Ok(())
    }
}
