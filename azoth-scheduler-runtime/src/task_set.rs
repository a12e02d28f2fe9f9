//! Tasks that belong together: joined one by one, stopped when the set is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use azoth_scheduler_core::execution::ErrorText;
use tokio::sync::mpsc;

use crate::caught::{Caught, caught, caught_here};
use crate::host::{Host, Stop};

/// Tasks of one host.
pub(crate) struct TaskSet<T> {
    host: Arc<dyn Host>,
    under_way: BTreeMap<u64, Box<dyn Stop>>,
    next: u64,
    /// Never holds more than were spawned and not joined.
    ended: mpsc::UnboundedReceiver<Joined<T>>,
    tell: mpsc::UnboundedSender<Joined<T>>,
}

/// A task that has ended: its number in the set, and what came of it.
pub(crate) struct Joined<T> {
    pub(crate) number: u64,
    /// Or the message of the panic that it ended by.
    pub(crate) result: Result<T, ErrorText>,
}

impl<T: Send + 'static> TaskSet<T> {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        let (tell, ended) = mpsc::unbounded_channel();
        Self { host, under_way: BTreeMap::new(), next: 0, ended, tell }
    }

    /// Starts a task, and gives its number.
    pub(crate) fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) -> u64 {
        let (number, tell) = (self.next, self.tell.clone());
        self.next += 1;
        let work = Box::pin(async move {
            let result = to_the_end(work).await;
            // Whoever dropped the set does not ask any more.
            let _ = tell.send(Joined { number, result });
        });
        self.under_way.insert(number, self.host.spawn(work));
        number
    }

    /// So many tasks were started so far.
    pub(crate) fn started(&self) -> u64 {
        self.next
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// The next task that has ended; `None` when there is none to wait for.
    pub(crate) async fn join_next(&mut self) -> Option<Joined<T>> {
        if self.is_empty() {
            return None;
        }
        // A sender is kept, so this cannot be `None`.
        let joined = self.ended.recv().await?;
        self.under_way.remove(&joined.number);
        Some(joined)
    }

    /// A task that has ended already.
    pub(crate) fn try_join_next(&mut self) -> Option<Joined<T>> {
        let joined = self.ended.try_recv().ok()?;
        self.under_way.remove(&joined.number);
        Some(joined)
    }
}

impl<T> Drop for TaskSet<T> {
    fn drop(&mut self) {
        self.under_way.values().for_each(|task| task.stop());
    }
}

/// Runs a future to its end or its panic. What it leaves behind may panic too when it is dropped.
async fn to_the_end<T>(work: impl Future<Output = T>) -> Caught<T> {
    let mut work = Box::pin(work);
    let result = caught(work.as_mut()).await;
    let dropped = caught_here(move || drop(work));
    result.and_then(|result| dropped.map(|()| result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Machine;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("on the way out");
        }
    }

    fn set<T: Send + 'static>() -> TaskSet<T> {
        TaskSet::new(Arc::new(Machine::new()))
    }

    #[tokio::test]
    async fn each_task_is_joined_once_by_its_number() {
        let mut set = set();
        let numbers = [set.spawn(async { "a" }), set.spawn(async { "b" })];
        let mut joined = Vec::new();
        while let Some(task) = set.join_next().await {
            joined.push((task.number, task.result.unwrap()));
        }
        joined.sort_unstable();
        assert_eq!(joined, [(numbers[0], "a"), (numbers[1], "b")]);
        assert!(set.is_empty() && set.try_join_next().is_none());
    }

    #[tokio::test]
    async fn panic_is_a_result_also_when_it_comes_as_the_future_is_dropped() {
        let mut set = set();
        set.spawn(async {
            let _left = PanicsWhenDropped;
            std::future::poll_fn(|_| std::task::Poll::Ready(())).await;
        });
        let joined = set.join_next().await.unwrap();
        let message = joined.result.unwrap_err();
        assert!(message.as_str().starts_with("on the way out"), "{message}");
    }

    #[tokio::test]
    async fn dropping_the_set_stops_its_tasks() {
        let mut set = set();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        set.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(set);
        assert!(dropped.await.is_err());
    }
}
