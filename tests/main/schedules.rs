//! Schedules mean what they say, and say what they mean.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use azoth_scheduler::prelude::*;
use azoth_scheduler::schedule::{ScheduleError, zone_data_version};
use azoth_scheduler::{ScheduleTaskRequestBuilder, Timestamp};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use tokio::sync::watch;

use crate::support::{House, MINUTE, work};

/// When the clock of a [`House`] starts: 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;

/// A handler of type `work` that notes the occurrence of each run, in milliseconds after the start.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<i64>>>);

impl Noting {
    fn occurrences(&self) -> Vec<i64> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl TaskHandler for Noting {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let since = ctx.scheduled_at() - instant(START);
        self.0.lock().unwrap().push(i64::try_from(since.whole_milliseconds())?);
        Ok(TaskEvent::new("noted", [])?)
    }
}

async fn noting() -> (Noting, House) {
    let noting = Noting::default();
    let house = House::with(|builder| builder.with_task_handler(noting.clone())).await;
    (noting, house)
}

fn instant(unix_seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap()
}

fn at(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn shown(instants: &[OffsetDateTime]) -> Vec<String> {
    instants.iter().map(|at| at.format(&Rfc3339).unwrap()).collect()
}

#[tokio::test]
async fn interval_is_kept_to_the_millisecond() {
    let (noting, house) = noting().await;
    house.schedule(work("a").every(Duration::from_millis(1_001))).await;
    house.pass(Duration::from_millis(1_000)).await;
    assert_eq!(noting.occurrences(), [0; 0], "a millisecond too early");
    house.pass(Duration::from_millis(1)).await;
    assert_eq!(noting.occurrences(), [1_001]);
    house.pass(Duration::from_millis(1_001)).await;
    house.pass(Duration::from_millis(1_001)).await;
    assert_eq!(noting.occurrences(), [1_001, 2_002, 3_003]);
    house.close().await;
}

#[tokio::test]
async fn interval_counts_from_its_anchor_even_after_a_restart() {
    let (noting, house) = noting().await;
    let anchor = instant(START - 3_590);
    house.schedule(work("a").interval(60).anchored_at(anchor)).await;
    assert_eq!(house.task("a").await.next_run_at, Some(instant(START + 10)));
    house.pass(Duration::from_secs(10)).await;
    house.pass(Duration::from_secs(47)).await;
    let house = house.restart(|builder| builder.with_task_handler(noting.clone())).await;
    house.pass(Duration::from_secs(33)).await;
    assert_eq!(noting.occurrences(), [10_000, 70_000], "the one at 70 s was 20 s late, and moved nothing");
    assert_eq!(house.task("a").await.next_run_at, Some(instant(START + 130)));
    house.close().await;
}

#[tokio::test]
async fn anchor_in_the_future_is_the_first_occurrence() {
    let (noting, house) = noting().await;
    house.schedule(work("a").interval(60).anchored_at(instant(START + 150))).await;
    house.pass(Duration::from_secs(149)).await;
    assert_eq!(noting.occurrences(), [0; 0]);
    house.pass(Duration::from_secs(1)).await;
    house.pass(MINUTE).await;
    assert_eq!(noting.occurrences(), [150_000, 210_000]);
    house.close().await;
}

#[tokio::test]
async fn task_is_finished_after_its_last_run() {
    let (noting, house) = noting().await;
    house.schedule(work("a").interval(60).max_runs(2)).await;
    house.schedule(work("b").cron("0 * * * * *").max_runs(1)).await;
    house.pass(MINUTE).await;
    assert!(house.task("a").await.enabled(), "one run is left");
    for _ in 0..3 {
        house.pass(MINUTE).await;
    }
    assert_eq!(noting.occurrences().len(), 3);
    for (id, runs) in [("a", 2), ("b", 1)] {
        let task = house.task(id).await;
        assert_eq!((task.phase, task.runs, task.next_run_at), (PhaseKind::Finished, runs, None), "{id}");
    }
    house.close().await;
}

#[tokio::test]
async fn one_time_task_in_the_past_runs_at_once_and_the_answer_says_so() {
    let (noting, house) = noting().await;
    let hour_ago = instant(START - 3_600);
    let cases: [(&str, ScheduleTaskRequestBuilder, bool, i64); 5] = [
        ("past", work("past").at(hour_ago), true, -3_600),
        // It is no misfire, so no misfire policy drops it.
        ("strict", work("strict").one_time(START - 60).misfire(MisfirePolicy::Skip), true, -60),
        ("now", work("now").at(instant(START)), true, 0),
        ("immediate", work("immediate").immediate(), true, 0),
        ("future", work("future").at(instant(START + 1)), false, 1),
    ];
    for (id, request, due_at_once, seconds) in cases {
        let outcome = house.scheduler.schedule_task(request.build().unwrap()).await.unwrap();
        house.settle().await;
        assert_eq!(
            (outcome.due_at_once, outcome.next_run_at),
            (due_at_once, Some(instant(START + seconds))),
            "{id}"
        );
        let ran = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
        let expected = if due_at_once { &ran[..] } else { &ran[..1] };
        assert_eq!(house.history(id).await, expected, "{id}");
    }
    assert_eq!(noting.occurrences(), [-3_600_000, -60_000, 0, 0], "each under its own instant");
    house.close().await;
}

#[tokio::test]
async fn answer_to_a_change_tells_whether_the_task_is_due() {
    let scheduler = Scheduler::builder(MemoryStore::new())
        .with_clock(azoth_scheduler::ManualClock::starting_at(Timestamp::from_unix_seconds(START).unwrap()))
        .build()
        .unwrap();
    let mut answers = Vec::new();
    for offset in [60, -60, -60, 60] {
        let request = work("a").at(instant(START + offset)).build().unwrap();
        let outcome = scheduler.schedule_task(request).await.unwrap();
        answers.push((outcome.is_created(), outcome.due_at_once));
    }
    assert_eq!(answers, [(true, false), (false, true), (false, true), (false, false)]);
}

/// A handler of type `work` that notes its occurrences and waits until it is let go.
#[derive(Clone)]
struct Slow {
    noting: Noting,
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

#[async_trait]
impl TaskHandler for Slow {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        let noted = self.noting.execute(ctx, payload).await;
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.open.subscribe().wait_for(|open| *open).await?;
        noted
    }
}

#[tokio::test]
async fn occurrences_that_come_while_one_runs_are_skipped_or_merged_into_one() {
    // The one at 60 s runs until 250 s: those at 120 s, 180 s and 240 s come meanwhile.
    for (overlap, expected) in
        [(Overlap::Skip, &[60_000, 300_000][..]), (Overlap::BufferOne, &[60_000, 240_000, 300_000][..])]
    {
        let (open, arrived) = (watch::Sender::new(false), watch::Sender::new(0));
        let slow = Slow { noting: Noting::default(), open, arrived };
        let house = House::with(|builder| builder.with_task_handler(slow.clone())).await;
        house.schedule(work("a").interval(60).overlap(overlap)).await;
        house.clock.advance(MINUTE);
        slow.arrived.subscribe().wait_for(|arrived| *arrived == 1).await.unwrap();
        house.clock.advance(Duration::from_secs(190));
        slow.open.send_replace(true);
        house.settle().await;
        house.pass(Duration::from_secs(50)).await;
        assert_eq!(slow.noting.occurrences(), expected, "{overlap:?}");
        let history = house.scheduler.task_history("a").await.unwrap();
        let passed: u64 = history.iter().map(|recorded| passed_by(&recorded.event)).sum();
        assert_eq!(passed, 5 - expected.len() as u64, "{overlap:?}: each that did not run is accounted for");
        house.close().await;
    }
}

/// So many occurrences passed without a run of their own.
fn passed_by(event: &Event) -> u64 {
    if let Event::OccurrencesPassed { passed, .. } = event { passed.count.number } else { 0 }
}

#[tokio::test]
async fn window_bounds_the_occurrences_and_ends_the_task() {
    let (noting, house) = noting().await;
    let window = |request: ScheduleTaskRequestBuilder| {
        request.not_before(instant(START + 150)).not_after(instant(START + 240))
    };
    house.schedule(window(work("a").interval(60))).await;
    house.schedule(window(work("b").cron("30 * * * * *"))).await;
    assert_eq!(house.task("a").await.next_run_at, Some(instant(START + 180)));
    for _ in 0..30 {
        house.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(
        noting.occurrences(),
        [150_000, 180_000, 210_000],
        "its start belongs to it, its end does not"
    );
    for id in ["a", "b"] {
        assert_eq!(house.task(id).await.phase, PhaseKind::Finished, "{id}");
    }
    let never = work("c").interval(60).not_before(instant(START + 10)).not_after(instant(START + 50));
    let refused = house.scheduler.schedule_task(never.build().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("2027-01-15T08:00:10"), "it names the window: {refused}");
    house.close().await;
}

#[tokio::test]
async fn what_an_outage_missed_runs_once_or_not_at_all_or_is_caught_up_newest_last() {
    let policies = [
        ("once", MisfirePolicy::RunOnce, &[300_000][..]),
        ("skip", MisfirePolicy::Skip, &[]),
        ("all", MisfirePolicy::CatchUp { limit: NonZeroU32::new(3).unwrap() }, &[180_000, 240_000, 300_000]),
    ];
    for (id, policy, expected) in policies {
        let (noting, house) = noting().await;
        // Nothing is late by less than the grace, which is a minute by default.
        house.schedule(work(id).interval(60).misfire(policy).misfire_grace(Duration::ZERO)).await;
        let clock = house.clock.clone();
        let house = house
            .restart(|builder| {
                clock.advance(Duration::from_secs(301));
                builder.with_task_handler(noting.clone())
            })
            .await;
        house.settle().await;
        assert_eq!(noting.occurrences(), expected, "{id}");
        let history = house.scheduler.task_history(id).await.unwrap();
        let passed: u64 = history.iter().map(|recorded| passed_by(&recorded.event)).sum();
        assert_eq!(passed, 5 - expected.len() as u64, "{id}: each that did not run is accounted for");
        assert_eq!(house.task(id).await.next_run_at, Some(instant(START + 360)), "{id}");
        house.close().await;
    }
}

#[tokio::test]
async fn jitter_spreads_the_starts_of_tasks_and_not_their_occurrences() {
    const TASKS: usize = 20;
    let (noting, house) = noting().await;
    let spread = Duration::from_secs(600);
    let request = |number: usize| work(&format!("task-{number}")).interval(3_600).jitter(spread);
    let mut starts = Vec::new();
    for number in 0..TASKS {
        house.schedule(request(number)).await;
        starts.push(house.task(&format!("task-{number}")).await.next_run_at.unwrap());
    }
    let (first, last) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    assert!(
        *first >= instant(START + 3_600) && *last <= instant(START + 3_600) + spread,
        "{first} to {last}"
    );
    assert!(*last - *first > spread / 4, "they are spread: {first} to {last}");
    let again = house.scheduler.schedule_task(request(7).build().unwrap()).await.unwrap();
    assert_eq!(again.next_run_at, starts.get(7).copied(), "the same task, the same place");
    house.pass(Duration::from_secs(3_599)).await;
    assert_eq!(noting.occurrences(), [0; 0]);
    house.pass(Duration::from_secs(601)).await;
    assert_eq!(noting.occurrences(), [3_600_000; TASKS]);
    house.close().await;
}

#[test]
fn zone_data_is_of_the_release_that_it_says() {
    let version = zone_data_version();
    let (year, letter) = version.split_at(4);
    assert!(year >= "2026" && letter.len() == 1 && letter.is_ascii(), "{version}");
    // British Columbia changes its clocks no more since March 2026: its winter of 2027 is at -07:00, not at -08:00.
    let vancouver = Schedule::cron_in("0 0 9 * * *", "America/Vancouver").unwrap();
    assert_eq!(shown(&vancouver.upcoming(instant(START), 1).unwrap()), ["2027-01-15T16:00:00Z"]);
}

#[test]
fn preview_takes_fractions_of_a_second_and_any_offset() {
    let seconds = Schedule::cron("* * * * * *").unwrap();
    let upcoming = |schedule: &Schedule, after: &str| schedule.upcoming(at(after), 2).unwrap();
    for after in ["2027-01-15T11:59:59Z", "2027-01-15T11:59:59.5Z", "2027-01-15T11:59:59.999999999Z"] {
        let expected = ["2027-01-15T12:00:00Z", "2027-01-15T12:00:01Z"];
        assert_eq!(shown(&upcoming(&seconds, after)), expected, "{after}");
    }
    let noon = Schedule::cron("0 0 12 * * *").unwrap();
    let after = "2027-01-15T17:30:00.000000001+05:30"; // a nanosecond past noon in UTC
    assert_eq!(shown(&upcoming(&noon, after)), ["2027-01-16T12:00:00Z", "2027-01-17T12:00:00Z"]);
    assert!(upcoming(&noon, after).iter().all(|at| at.offset() == UtcOffset::UTC));

    let half = Schedule::every(Duration::from_millis(500)).unwrap();
    let expected = ["2027-01-15T12:00:00.25Z", "2027-01-15T12:00:00.75Z"];
    assert_eq!(shown(&upcoming(&half, "2027-01-15T11:59:59.75Z")), expected);
    // Before the year 1970 a fraction is cut off towards the past, too.
    let expected = ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"];
    assert_eq!(shown(&upcoming(&seconds, "1969-12-31T23:59:58.7Z")), expected);
}

fn refusal(request: ScheduleTaskRequestBuilder) -> ScheduleError {
    match request.build() {
        Err(SchedulerError::InvalidTask(RequestError::Schedule(error))) => error,
        other => panic!("a refused schedule was expected, not {other:?}"),
    }
}

#[test]
fn expression_that_never_fires_is_refused_with_an_error_of_its_own() {
    for never in ["0 0 0 30 2 *", "0 0 0 31 2,4,6,9,11 *", "0 0 0 31W FEB ?", "0 0 0 l-30 4 *"] {
        let error = refusal(work("a").cron(never));
        assert!(matches!(&error, ScheduleError::NeverFires { text } if text == never), "{error:?}");
    }
    for rare in ["0 0 0 29 2 *", "0 0 0 29W 2 *", "0 0 0 L-28 2 *", "0 0 0 30 2 MON#5"] {
        assert!(work("a").cron(rare).build().is_ok(), "{rare}");
    }
}

#[test]
fn five_fields_are_refused_with_the_six_to_write_instead() {
    let error = refusal(work("a").cron("0 9 * * 1-5"));
    assert!(matches!(error, ScheduleError::FieldCount { count: 5, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("second minute hour day-of-month month day-of-week"), "{text}");
    assert!(text.contains("`0 0 9 * * 1-5`"), "{text}");
    assert!(work("a").cron("0 0 9 * * 1-5").build().is_ok(), "what it advises is accepted");
}

#[test]
fn aliases_of_other_crons_are_refused_with_what_to_use() {
    for (expression, advice) in
        [("@every 5m", "use an interval schedule"), ("@reboot", "schedule an immediate task")]
    {
        let error = refusal(work("a").cron(expression));
        assert!(matches!(error, ScheduleError::Alias { .. }), "{error:?}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}
