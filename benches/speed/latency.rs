//! How long it takes until a handler starts: of a task for now, and of tasks for instants to come.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use azoth_scheduler::Scheduler;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::house::{House, Start, Work};
use crate::meter::percentile;
use crate::raw::Raw;
use crate::report::Goal;
use crate::run::Run;

/// A pause between two calls, so that each finds an idle scheduler and an idle disk.
const PAUSE: Duration = Duration::from_millis(5);

/// From the call to the start of the handler, against one commit after the same pause.
pub(crate) fn pickup(run: &mut Run) -> Result<()> {
    let house = House::new()?;
    let (scheduler, mut starts) = running(&house)?;
    pickup_of(run, "idle pickup", &house, &scheduler, &mut starts)
}

/// The same beside tasks that wait for later, with a long log.
pub(crate) fn pickup_when_full(run: &mut Run) -> Result<()> {
    let house = run.full_house()?;
    let (scheduler, mut starts) = running(&house)?;
    let case = format!("idle pickup, {}", run.fullness());
    pickup_of(run, &case, &house, &scheduler, &mut starts)
}

fn pickup_of(
    run: &mut Run,
    case: &str,
    house: &House,
    scheduler: &Scheduler,
    starts: &mut mpsc::UnboundedReceiver<Start>,
) -> Result<()> {
    let calls = run.size(200);
    let templates = run.templates()?;
    let folder = tempfile::tempdir()?;
    let mut raw = Raw::new(&templates, folder.path())?;
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..run.rounds() {
        let (mut picked_up, mut committed) = (Vec::new(), Vec::new());
        for request in house.immediate(calls)? {
            std::thread::sleep(PAUSE);
            let called = Instant::now();
            let start = house.block_on(async {
                scheduler.schedule_task(request).await?;
                starts.recv().await.context("the scheduler has stopped")
            })?;
            picked_up.push((start.at - called).as_secs_f64() * 1e3);
            std::thread::sleep(PAUSE);
            let called = Instant::now();
            raw.schedule(1, 1)?;
            committed.push(called.elapsed().as_secs_f64() * 1e3);
        }
        ours.push([percentile(&mut picked_up, 50), percentile(&mut picked_up, 99)]);
        limit.push([percentile(&mut committed, 50), percentile(&mut committed, 99)]);
    }
    house.block_on(async { scheduler.shutdown().await });
    for (index, (percent, goal)) in [("p50", 1.3), ("p99", 4.0)].into_iter().enumerate() {
        let case = format!("{case}, {percent}");
        run.report.add(&case, "ours", "ms", ours.iter().map(|of| of[index]), None);
        run.report.add(&case, "raw commit", "ms", limit.iter().map(|of| of[index]), None);
        let ratios = ours.iter().zip(&limit).map(|(ours, limit)| ours[index] / limit[index]);
        run.report.add(&case, "of a raw commit", "x", ratios, Some(Goal::AtMost(goal)));
    }
    Ok(())
}

/// How late one-time tasks start whose instants are spread.
pub(crate) fn lateness(run: &mut Run) -> Result<()> {
    let house = House::new()?;
    let (scheduler, mut starts) = running(&house)?;
    lateness_of(run, "lateness", &house, &scheduler, &mut starts)
}

/// The same beside tasks that wait for later, with a long log.
pub(crate) fn lateness_when_full(run: &mut Run) -> Result<()> {
    let house = run.full_house()?;
    let (scheduler, mut starts) = running(&house)?;
    let case = format!("lateness, {}", run.fullness());
    lateness_of(run, &case, &house, &scheduler, &mut starts)
}

fn lateness_of(
    run: &mut Run,
    case: &str,
    house: &House,
    scheduler: &Scheduler,
    starts: &mut mpsc::UnboundedReceiver<Start>,
) -> Result<()> {
    let tasks = run.size(1_000);
    let mut found = Vec::new();
    for _ in 0..run.rounds() {
        let begin = OffsetDateTime::now_utc() + Duration::from_millis(500);
        let begin = begin.replace_nanosecond(0)? + Duration::from_secs(1);
        // Five milliseconds apart on the average, in no rhythm.
        let due = |index: usize| begin + Duration::from_millis((index * 5 + index * index % 7) as u64);
        let requests = house.requests(tasks, |index| Some(due(index)))?;
        let dues: std::collections::HashMap<String, SystemTime> = requests
            .iter()
            .enumerate()
            .filter_map(|(index, request)| Some((request.task_id()?.to_string(), due(index).into())))
            .collect();
        house.schedule(requests)?;
        let mut late = Vec::new();
        for _ in 0..tasks {
            let start = house.block_on(starts.recv()).context("the scheduler has stopped")?;
            let due = dues.get(&start.task).context("a task ran that was not asked for")?;
            late.push(start.clock.duration_since(*due).unwrap_or_default().as_secs_f64() * 1e3);
        }
        found.push([percentile(&mut late, 50), percentile(&mut late, 99)]);
    }
    house.block_on(async { scheduler.shutdown().await });
    run.report.add(case, "p50", "ms", found.iter().map(|of| of[0]), Some(Goal::AtMost(2.0)));
    run.report.add(case, "p99", "ms", found.iter().map(|of| of[1]), Some(Goal::AtMost(5.0)));
    Ok(())
}

/// A scheduler that runs and waits.
fn running(house: &House) -> Result<(Scheduler, mpsc::UnboundedReceiver<Start>)> {
    let (work, starts) = Work::telling();
    let scheduler = house.scheduler(100, work)?;
    house.spawn(&scheduler);
    std::thread::sleep(Duration::from_millis(100));
    Ok((scheduler, starts))
}
