//! Tasks that are polled one at a time, in an order that follows from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use azoth_scheduler_core::time::Timestamp;
use uuid::{Builder, Uuid};

use super::chance::Chance;
use crate::host::{Host, Stop, Work};

/// All tasks of a simulation. It has no thread: a task moves on when somebody calls [`step`](Executor::step).
#[derive(Clone)]
pub(super) struct Executor {
    shared: Arc<Shared>,
}

/// What belongs to one scheduler, as the tasks of one process do.
#[derive(Clone)]
pub(super) struct Member {
    executor: Executor,
    number: u64,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    tasks: BTreeMap<u64, Task>,
    ready: BTreeSet<u64>,
    frozen: BTreeSet<u64>,
    tasks_made: u64,
    members_made: u64,
    chance: Chance,
}

struct Task {
    member: u64,
    /// Taken out while it is polled.
    work: Option<Work>,
    waker: Waker,
}

struct TaskWaker {
    number: u64,
    shared: Weak<Shared>,
}

struct TaskStop {
    number: u64,
    shared: Weak<Shared>,
}

impl Executor {
    pub(super) fn of_seed(seed: u64) -> Self {
        let state = State {
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            frozen: BTreeSet::new(),
            tasks_made: 0,
            members_made: 0,
            chance: Chance::of_seed(seed),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state) }) }
    }

    pub(super) fn member(&self) -> Member {
        let mut state = self.shared.state();
        state.members_made += 1;
        Member { executor: self.clone(), number: state.members_made }
    }

    /// Moves one task on that can move, whichever chance chooses. `false`: there is none.
    pub(super) fn step(&self) -> bool {
        let Some((number, mut work, waker)) = self.shared.state().choose() else {
            return false;
        };
        let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
        let over = {
            let mut state = self.shared.state();
            match polled {
                Poll::Ready(()) => {
                    state.ready.remove(&number);
                    state.tasks.remove(&number);
                    Some(work)
                }
                Poll::Pending => match state.tasks.get_mut(&number) {
                    Some(task) => task.work.replace(work),
                    // It was stopped while it was polled.
                    None => Some(work),
                },
            }
        };
        // What it leaves behind may spawn or stop others: not under the lock.
        drop(over);
        true
    }

    /// Moves tasks on until none can move.
    pub(super) fn settle(&self) {
        while self.step() {}
    }
}

impl Member {
    /// None of its tasks moves until it is thawed, as if the process had been stopped.
    pub(super) fn freeze(&self) {
        self.executor.shared.state().frozen.insert(self.number);
    }

    pub(super) fn thaw(&self) {
        self.executor.shared.state().frozen.remove(&self.number);
    }

    /// Ends all its tasks where they stand, as if the process had died.
    pub(super) fn kill(&self) {
        let dead = self.executor.shared.state().remove(self.number);
        drop(dead);
    }

    /// Runs the scheduler itself.
    pub(super) fn spawn_main(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_task(Box::pin(work));
    }

    fn spawn_task(&self, work: Work) -> u64 {
        let shared = &self.executor.shared;
        let mut state = shared.state();
        state.tasks_made += 1;
        let number = state.tasks_made;
        let waker = Waker::from(Arc::new(TaskWaker { number, shared: Arc::downgrade(shared) }));
        state.tasks.insert(number, Task { member: self.number, work: Some(work), waker });
        state.ready.insert(number);
        number
    }
}

impl Host for Member {
    fn spawn(&self, work: Work) -> Box<dyn Stop> {
        let number = self.spawn_task(work);
        Box::new(TaskStop { number, shared: Arc::downgrade(&self.executor.shared) })
    }

    /// Nothing can be held up here: a handler that blocks takes no time.
    fn spawn_apart(&self, _name: &str, work: Work) -> io::Result<()> {
        self.spawn_task(work);
        Ok(())
    }

    /// In one step.
    fn run_blocking(&self, job: Box<dyn FnOnce() + Send + 'static>) -> io::Result<()> {
        self.spawn_task(Box::pin(async move { job() }));
        Ok(())
    }

    /// No other task moves meanwhile, and no time passes: what needs either is dropped.
    fn block_on(&self, mut work: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        while woken.0.swap(false, Ordering::SeqCst) {
            if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
        }
    }

    fn give_way(&self) -> Work {
        Box::pin(yield_once())
    }

    fn mint(&self, now: Timestamp) -> Uuid {
        let mut state = self.executor.shared.state();
        let mut chance = [0; 10];
        chance[..8].copy_from_slice(&state.chance.number().to_le_bytes());
        chance[8..].copy_from_slice(&state.chance.number().to_le_bytes()[..2]);
        let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(ms, &chance).into_uuid()
    }
}

impl State {
    fn choose(&mut self) -> Option<(u64, Work, Waker)> {
        let movable = |number: &u64| {
            let task = self.tasks.get(number)?;
            let moves = task.work.is_some() && !self.frozen.contains(&task.member);
            moves.then_some(*number)
        };
        let movable: Vec<u64> = self.ready.iter().filter_map(movable).collect();
        let number = *self.chance.one_of(&movable)?;
        self.ready.remove(&number);
        let task = self.tasks.get_mut(&number)?;
        Some((number, task.work.take()?, task.waker.clone()))
    }

    fn remove(&mut self, member: u64) -> Vec<Task> {
        let of_member = |(number, task): (&u64, &Task)| (task.member == member).then_some(*number);
        let numbers: Vec<u64> = self.tasks.iter().filter_map(of_member).collect();
        numbers.iter().filter_map(|number| self.tasks.remove(number)).collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a future that is waited for has something to do.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.state();
            if state.tasks.contains_key(&self.number) {
                state.ready.insert(self.number);
            }
        }
    }
}

impl Stop for TaskStop {
    fn stop(&self) {
        if let Some(shared) = self.shared.upgrade() {
            let stopped = {
                let mut state = shared.state();
                state.ready.remove(&self.number);
                state.tasks.remove(&self.number)
            };
            drop(stopped);
        }
    }
}

/// Lets others move on first, or goes on itself: that is left to chance.
pub(super) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which ten tasks that each yield twice get to say their number.
    fn order(seed: u64) -> Vec<u64> {
        let executor = Executor::of_seed(seed);
        let member = executor.member();
        let said = Arc::new(Mutex::new(Vec::new()));
        for number in 0..10 {
            let said = Arc::clone(&said);
            let work = async move {
                for _ in 0..2 {
                    said.lock().unwrap().push(number);
                    yield_once().await;
                }
            };
            drop(member.spawn(Box::pin(work)));
        }
        executor.settle();
        let said = said.lock().unwrap();
        said.clone()
    }

    #[test]
    fn order_follows_from_the_seed_alone() {
        assert_eq!(order(1).len(), 20);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn frozen_member_moves_when_it_is_thawed_and_a_killed_one_never() {
        let executor = Executor::of_seed(0);
        let (first, second) = (executor.member(), executor.member());
        let ran = Arc::new(Mutex::new(Vec::new()));
        for (name, member) in [("first", &first), ("second", &second)] {
            let ran = Arc::clone(&ran);
            member.spawn_task(Box::pin(async move { ran.lock().unwrap().push(name) }));
        }
        first.freeze();
        second.kill();
        executor.settle();
        assert!(ran.lock().unwrap().is_empty());
        first.thaw();
        executor.settle();
        assert_eq!(*ran.lock().unwrap(), ["first"]);
    }

    #[test]
    fn task_may_stop_itself_and_others() {
        let executor = Executor::of_seed(0);
        let member = executor.member();
        let stops = Arc::new(Mutex::new(Vec::<Box<dyn Stop>>::new()));
        let all = Arc::clone(&stops);
        let stopping = member.spawn(Box::pin(async move {
            all.lock().unwrap().iter().for_each(|stop| stop.stop());
            std::future::pending::<()>().await;
        }));
        stops.lock().unwrap().push(stopping);
        stops.lock().unwrap().push(member.spawn(Box::pin(std::future::pending())));
        executor.settle();
        assert!(executor.shared.state().tasks.is_empty());
    }
}
