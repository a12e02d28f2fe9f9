//! Durable readers of the log.

use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::testing::at;

use super::bench::{Bench, ok, want};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::store::{DeadLetter, StartFrom};

pub(super) async fn a_cursor_starts_where_it_is_told_to_and_stays(bench: &mut Bench) {
    three_events(bench).await;
    let starts = [
        ("beginning", StartFrom::Beginning, 0),
        ("now", StartFrom::Now, 3),
        ("after", StartFrom::After(position(2)), 2),
    ];
    for (name, start, expected) in starts {
        assert_eq!(bench.store().cursor(&consumer(name), start).await, Ok(position(expected)), "{name}");
        assert_eq!(bench.store().cursor(&consumer(name), StartFrom::Beginning).await, Ok(position(expected)));
        assert_eq!(bench.store().cursor(&consumer(name), StartFrom::Now).await, Ok(position(expected)));
    }
    let mut lags = ok(bench.store().stats(at(0)).await).consumers;
    lags.sort_by_key(|lag| lag.events_behind);
    assert_eq!(lags.iter().map(|lag| lag.events_behind).collect::<Vec<_>>(), [0, 1, 3]);
}

pub(super) async fn a_cursor_moves_only_from_where_it_stands(bench: &mut Bench) {
    three_events(bench).await;
    let (name, store) = (consumer("mail"), bench.store());
    ok(store.cursor(&name, StartFrom::Beginning).await);
    assert_eq!(store.move_cursor(&name, position(0), position(2), None).await, Ok(()));
    let (expected, found) = (position(0), position(2));
    let moved = Err(StoreError::CursorMoved { consumer: name.clone(), expected, found });
    assert_eq!(store.move_cursor(&name, position(0), position(3), None).await, moved, "I12");
    assert_eq!(store.cursor(&name, StartFrom::Beginning).await, Ok(position(2)));
    assert_eq!(store.move_cursor(&name, position(2), position(3), None).await, Ok(()));
}

pub(super) async fn what_could_not_be_handled_is_kept(bench: &mut Bench) {
    three_events(bench).await;
    let (name, store) = (consumer("mail"), bench.store());
    ok(store.cursor(&name, StartFrom::Beginning).await);
    let letter = |number, error: &str| DeadLetter {
        position: position(number),
        attempts: 5,
        error: error.to_owned(),
        at: at(60),
    };
    let (first, second) = (letter(1, "no route"), letter(3, "it's \"gone\""));
    ok(store.move_cursor(&name, position(0), position(1), Some(first.clone())).await);
    let refused = store.move_cursor(&name, position(0), position(2), Some(letter(2, "never"))).await;
    assert!(matches!(refused, Err(StoreError::CursorMoved { .. })), "{refused:?}");
    ok(store.move_cursor(&name, position(1), position(3), Some(second.clone())).await);
    assert_eq!(store.dead_letters(&name, 10).await, Ok(vec![first.clone(), second]), "oldest first");
    assert_eq!(store.dead_letters(&name, 1).await, Ok(vec![first]));
    assert_eq!(store.dead_letters(&consumer("other"), 10).await, Ok(Vec::new()));
    let lags = ok(store.stats(at(0)).await).consumers;
    assert_eq!(lags.iter().map(|lag| lag.dead_letters).collect::<Vec<_>>(), [2]);
}

pub(super) async fn no_cursor_starts_behind_the_newest_event(bench: &mut Bench) {
    three_events(bench).await;
    let refused = StoreError::NoSuchPosition { position: position(4), head: position(3) };
    let start = StartFrom::After(position(4));
    assert_eq!(bench.store().cursor(&consumer("mail"), start).await, Err(refused));
    assert_eq!(bench.store().cursor(&consumer("mail"), StartFrom::After(position(3))).await, Ok(position(3)));
    assert_eq!(bench.store().cursor(&consumer("mail"), start).await, Ok(position(3)), "it is there");
}

pub(super) async fn a_dead_letter_is_handled_again_once(bench: &mut Bench) {
    three_events(bench).await;
    let (name, store) = (consumer("mail"), bench.store());
    ok(store.cursor(&name, StartFrom::Beginning).await);
    let letter =
        |attempts| DeadLetter { position: position(2), attempts, error: "no".to_owned(), at: at(60) };
    ok(store.move_cursor(&name, position(0), position(2), Some(letter(5))).await);
    assert_eq!(store.requeue(&name, position(1)).await, Ok(false), "it is no dead letter");
    assert_eq!(store.requeue(&consumer("other"), position(2)).await, Ok(false));
    assert_eq!(store.requeue(&name, position(2)).await, Ok(true));
    assert_eq!(store.requeue(&name, position(2)).await, Ok(false), "it is none any more");
    assert_eq!(store.dead_letters(&name, 10).await, Ok(Vec::new()));
    assert_eq!(store.requeued(&name, 10).await, Ok(vec![letter(5)]));
    ok(store.settle_requeued(&name, position(2), Some(letter(6))).await);
    assert_eq!(store.dead_letters(&name, 10).await, Ok(vec![letter(6)]));
    ok(store.settle_requeued(&name, position(2), None).await);
    assert_eq!(store.dead_letters(&name, 10).await, Ok(vec![letter(6)]), "it was not requeued");
    assert_eq!(store.requeue(&name, position(2)).await, Ok(true));
    ok(store.settle_requeued(&name, position(2), None).await);
    assert_eq!(store.requeued(&name, 10).await, Ok(Vec::new()));
    assert_eq!(store.dead_letters(&name, 10).await, Ok(Vec::new()));
    assert_eq!(store.cursor(&name, StartFrom::Beginning).await, Ok(position(2)), "the cursor stays");
}

pub(super) async fn cursors_survive_a_rebuild_and_a_reopening(bench: &mut Bench) {
    three_events(bench).await;
    let name = consumer("mail");
    ok(bench.store().cursor(&name, StartFrom::Beginning).await);
    ok(bench.store().move_cursor(&name, position(0), position(2), None).await);
    ok(bench.store().rebuild_projection().await);
    assert_eq!(bench.store().cursor(&name, StartFrom::Beginning).await, Ok(position(2)));
    bench.reopen().await;
    assert_eq!(bench.store().cursor(&name, StartFrom::Now).await, Ok(position(2)));
}

async fn three_events(bench: &Bench) {
    for task in ["a", "b", "c"] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
    }
    assert_eq!(bench.store().head().await, Ok(position(3)));
}

fn consumer(name: &str) -> ConsumerName {
    ok(ConsumerName::new(name))
}

fn position(number: u64) -> LogPosition {
    LogPosition::from_number(number)
}
