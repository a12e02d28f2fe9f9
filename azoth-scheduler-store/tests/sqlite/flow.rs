//! From request to recorded result, and over a restart.

use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{LogPosition, Store};

use crate::support::*;

#[tokio::test]
async fn task_goes_from_request_to_recorded_result() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();

    let applied = apply(&store, at(0), [job("a")]).await;
    assert_eq!(applied.answers, [Ok(Answer::Created)]);
    let claimed = claim(&store, at(1), offer(1, [7])).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(&*claimed[0].payload, b"a");
    assert_eq!((claimed[0].attempt, claimed[0].occurrence), (1, at(0)));
    let applied = apply(&store, at(2), [succeed("a", execution(7), b"result", at(1))]).await;
    assert_eq!(applied.answers, [Ok(Answer::Recorded)]);

    let task = store.task(&id("a")).await.unwrap().unwrap();
    assert_eq!(task.state.phase.kind(), PhaseKind::Finished);
    let history = store.history(&id("a"), None, 10).await.unwrap();
    let names: Vec<_> = history.iter().map(|event| event.event.name()).collect();
    assert_eq!(names, ["TaskEventEmitted", "TaskExecuted", "ExecutionStarted", "TaskScheduled"]);
    assert_eq!(history[0].payload.bytes(), Some(&b"result"[..]));
    assert_sound(&store).await;
}

#[tokio::test]
async fn late_result_of_another_execution_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    let before = store.head().await.unwrap();

    let applied = apply(&store, at(2), [succeed("a", execution(8), b"", at(1))]).await;
    assert!(matches!(applied.answers[..], [Err(Rejection::StaleExecution { .. })]));
    assert_eq!(store.head().await.unwrap(), before);
    assert_sound(&store).await;
}

#[tokio::test]
async fn restart_keeps_everything_and_goes_on_with_the_dense_log() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [job("a"), job("b")]).await;
    claim(&store, at(1), offer(1, [7])).await;
    let (tasks, events) = (
        store.tasks(&Default::default()).await.unwrap(),
        store.events(LogPosition::START, 100).await.unwrap(),
    );
    drop(store);

    let store = folder.open();
    assert_eq!(store.tasks(&Default::default()).await.unwrap(), tasks);
    assert_eq!(store.events(LogPosition::START, 100).await.unwrap(), events);
    assert_eq!(store.head().await.unwrap().number(), events.len() as u64);
    assert_eq!(*store.watch_head().borrow(), store.head().await.unwrap());

    apply(&store, at(2), [succeed("a", execution(7), b"", at(1)), job("c")]).await;
    let events = store.events(LogPosition::START, 100).await.unwrap();
    let positions: Vec<_> = events.iter().map(|event| event.position.number()).collect();
    assert_eq!(positions, (1..=6).collect::<Vec<_>>());
    assert_sound(&store).await;
}
