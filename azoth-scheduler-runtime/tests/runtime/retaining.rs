//! What a scheduler lets go by itself.

use std::time::Duration;

use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_runtime::{Scheduler, SchedulerError};
use azoth_scheduler_store::MemoryStore;

use crate::support::{Fixture, SECOND, done, handler, immediate};

#[tokio::test]
async fn tasks_that_finished_leave_now_and_then_while_the_scheduler_runs() {
    let policy = RetentionPolicy::new().keep_finished_for(SECOND * 60);
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(handler(|_, _| async { done() })).with_retention(policy, SECOND * 100)
    });
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    fixture.pass(SECOND * 50).await;
    assert!(fixture.scheduler.get_task("a").await.unwrap().is_some());
    fixture.pass(SECOND * 51).await;
    while fixture.scheduler.get_task("a").await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(fixture.scheduler.verify().await.unwrap().is_sound());
    fixture.end().await;
}

#[test]
fn retention_more_often_than_every_second_is_refused() {
    let built =
        Scheduler::builder(MemoryStore::new()).with_retention(RetentionPolicy::new(), Duration::ZERO).build();
    assert!(matches!(built, Err(SchedulerError::InvalidSetting { setting: "with_retention", .. })));
}
