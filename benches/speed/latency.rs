//! How long it takes until a handler starts: of a task for now, and of tasks for instants to come.

use std::collections::HashMap;
use std::rc::Rc;
use std::thread;
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

/// A pause from the last commit to the next call, so that each finds an idle scheduler and an idle disk.
const PAUSE: Duration = Duration::from_millis(5);
const CALLS: usize = 200;
const HANDFUL: usize = 10;
const LATER: usize = 1_000;

/// p50 and p99 of one round, in milliseconds.
type Round = [f64; 2];
const PERCENTS: [&str; 2] = ["p50", "p99"];

/// From the call to the start of the handler, against one commit after the same pause.
pub(crate) fn pickup(run: &mut Run) -> Result<()> {
    let mut idle = Idle::new(Rc::new(House::new()?))?;
    let (templates, folder) = (run.templates()?, tempfile::tempdir()?);
    let mut raw = Raw::new(&templates, folder.path())?;
    let [ours, limit] = in_turn(run, [&mut || idle.picks_up(), &mut || commits(&mut raw)])?;
    tell(run, "idle pickup", "ours", &ours, [None; 2]);
    tell(run, "idle pickup", "raw commit", &limit, [None; 2]);
    compare(run, "idle pickup", "of a raw commit", (&ours, &limit), [1.3, 4.0].map(Some));
    Ok(())
}

/// The same beside tasks that wait for later, with a long log, against the same beside nothing.
pub(crate) fn pickup_when_full(run: &mut Run) -> Result<()> {
    let mut full = Idle::new(run.full_house()?)?;
    let mut empty = Idle::new(Rc::new(House::new()?))?;
    let (templates, folder) = (run.templates()?, tempfile::tempdir()?);
    let mut raw = Raw::new(&templates, folder.path())?;
    let ways: [&mut dyn FnMut() -> Result<f64>; 3] =
        [&mut || full.picks_up(), &mut || empty.picks_up(), &mut || commits(&mut raw)];
    let [ours, beside_nothing, limit] = in_turn(run, ways)?;
    let case = format!("idle pickup, {}", run.fullness());
    tell(run, &case, "ours", &ours, [None; 2]);
    compare(run, &case, "of empty", (&ours, &beside_nothing), [1.3, 1.3].map(Some));
    compare(run, &case, "of a raw commit", (&ours, &limit), [None; 2]);
    Ok(())
}

/// How late one-time tasks start whose instants are spread.
pub(crate) fn lateness(run: &mut Run) -> Result<()> {
    let mut idle = Idle::new(Rc::new(House::new()?))?;
    let tasks = run.size(LATER);
    let found = (0..run.rounds()).map(|_| idle.is_late(tasks)).collect::<Result<Vec<_>>>()?;
    tell(run, "lateness", "late", &found, [2.0, 5.0].map(Some));
    Ok(())
}

/// The same beside tasks that wait for later, with a long log, and against the same beside nothing.
pub(crate) fn lateness_when_full(run: &mut Run) -> Result<()> {
    let mut full = Idle::new(run.full_house()?)?;
    let mut empty = Idle::new(Rc::new(House::new()?))?;
    let tasks = run.size(LATER);
    let (ours, beside_nothing) = run.pairs(|| full.is_late(tasks), || empty.is_late(tasks))?;
    let case = format!("lateness, {}", run.fullness());
    tell(run, &case, "late", &ours, [None; 2]);
    compare(run, &case, "of empty", (&ours, &beside_nothing), [1.3, 1.3].map(Some));
    Ok(())
}

/// A scheduler that runs and waits.
struct Idle {
    house: Rc<House>,
    scheduler: Scheduler,
    starts: mpsc::UnboundedReceiver<Start>,
}

impl Idle {
    fn new(house: Rc<House>) -> Result<Self> {
        let (work, starts) = Work::telling();
        let scheduler = house.scheduler(100, work)?;
        house.spawn(&scheduler);
        thread::sleep(Duration::from_millis(100));
        Ok(Self { house, scheduler, starts })
    }

    /// Milliseconds from the call to the start of the handler. The end of the task is committed afterwards: the pause of whoever
    /// comes next begins there.
    fn picks_up(&mut self) -> Result<f64> {
        let request = self.house.immediate(1)?.remove(0);
        thread::sleep(PAUSE);
        self.house.block_on(async {
            let called = Instant::now();
            self.scheduler.schedule_task(request).await?;
            let start = self.starts.recv().await.context("the scheduler has stopped")?;
            self.scheduler.handle(&start.task)?.wait_raw().await?;
            Ok(ms(start.at - called))
        })
    }

    /// How late so many tasks start whose instants are spread.
    fn is_late(&mut self, tasks: usize) -> Result<Round> {
        let begin = OffsetDateTime::now_utc() + Duration::from_millis(500);
        let begin = begin.replace_nanosecond(0)? + Duration::from_secs(1);
        // Five milliseconds apart on the average, in no rhythm.
        let due = |index: usize| begin + Duration::from_millis((index * 5 + index * index % 7) as u64);
        let requests = self.house.requests(tasks, |index| Some(due(index)))?;
        let dues: HashMap<String, SystemTime> = requests
            .iter()
            .enumerate()
            .filter_map(|(index, request)| Some((request.task_id()?.to_string(), due(index).into())))
            .collect();
        self.house.schedule(requests)?;
        let mut late = Vec::new();
        for _ in 0..tasks {
            let start = self.house.block_on(self.starts.recv()).context("the scheduler has stopped")?;
            let due = dues.get(&start.task).context("a task ran that was not asked for")?;
            late.push(ms(start.clock.duration_since(*due).unwrap_or_default()));
        }
        Ok(round(&mut late))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.house.block_on(async { self.scheduler.shutdown().await });
    }
}

/// Milliseconds of one commit of raw SQLite that schedules a task.
fn commits(raw: &mut Raw<'_>) -> Result<f64> {
    thread::sleep(PAUSE);
    let called = Instant::now();
    raw.schedule(1, 1)?;
    Ok(ms(called.elapsed()))
}

/// Each of these so many times, in turn by the handful: so the call before is mostly of the same kind and left the caches of the
/// processor to it, and the disk has no time to change between one kind and the next. The rounds of each.
fn in_turn<const N: usize>(
    run: &Run,
    mut ways: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[Vec<Round>; N]> {
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..run.rounds() {
        let mut found = [const { Vec::new() }; N];
        let handfuls = run.size(CALLS).div_ceil(HANDFUL);
        for _ in 0..handfuls {
            for (way, found) in ways.iter_mut().zip(&mut found) {
                for _ in 0..HANDFUL {
                    found.push(way()?);
                }
            }
        }
        rounds.iter_mut().zip(&mut found).for_each(|(rounds, found)| rounds.push(round(found)));
    }
    Ok(rounds)
}

fn round(found: &mut [f64]) -> Round {
    [percentile(found, 50), percentile(found, 99)]
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Reports rounds, with what each percentile is to be at most.
fn tell(run: &mut Run, case: &str, what: &str, rounds: &[Round], goals: [Option<f64>; 2]) {
    for (index, (percent, goal)) in PERCENTS.into_iter().zip(goals).enumerate() {
        let values = rounds.iter().map(|round| round[index]);
        run.report.add(&format!("{case}, {percent}"), what, "ms", values, goal.map(Goal::AtMost));
    }
}

/// Reports rounds as multiples of others.
fn compare(
    run: &mut Run,
    case: &str,
    what: &str,
    (ours, theirs): (&[Round], &[Round]),
    goals: [Option<f64>; 2],
) {
    for (index, (percent, goal)) in PERCENTS.into_iter().zip(goals).enumerate() {
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours[index] / theirs[index]);
        run.report.add(&format!("{case}, {percent}"), what, "x", ratios, goal.map(Goal::AtMost));
    }
}
