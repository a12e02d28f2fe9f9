//! Scheduling in the application's own transaction, while the scheduler runs.

use azoth_scheduler::prelude::*;
use azoth_scheduler::store::sqlite::rusqlite::{Connection, TransactionBehavior};

use crate::support::{House, Work, store_in, work};

#[tokio::test]
async fn task_of_the_applications_transaction_runs_once_that_has_committed() {
    let work_done = Work::default();
    let house = House::with(|builder| builder.with_task_handler(work_done.clone())).await;
    let store = store_in(&house.folder);
    let mut conn = Connection::open(house.folder.path().join("scheduler.db")).unwrap();
    for (name, commits) in [("kept", true), ("dropped", false)] {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let prepared = house.scheduler.prepare(&[work(name).immediate().build().unwrap()]).unwrap();
        store.schedule_in(&tx, &prepared).unwrap();
        if commits {
            tx.commit().unwrap()
        } else {
            tx.rollback().unwrap()
        }
        house.scheduler.wake();
        house.settle().await;
    }
    assert_eq!(work_done.runs(), [("kept".to_owned(), 1)]);
    assert!(house.scheduler.get_task("dropped").await.unwrap().is_none());
    house.close().await;
}

#[tokio::test]
async fn what_is_prepared_is_checked_like_any_other_request() {
    let house = House::with(|builder| builder.with_task_handler(Work::default())).await;
    let unknown = ScheduleTaskRequest::builder("a").task_type("wrok").immediate().build().unwrap();
    let refusal = house.scheduler.prepare(&[unknown]).unwrap_err();
    assert!(matches!(refusal, SchedulerError::HandlerNotFound { .. }), "{refusal}");
    house.close().await;
}
