//! How the cost of each operation grows: with the tasks that are stored, with those that are due, with the events in the
//! log, and with the processes that share the file. Costs are times of the processor, all threads together.

use anyhow::{Context, Result};
use azoth_scheduler::Store;
use azoth_scheduler::prelude::*;

use crate::house::{House, Work, name};
use crate::meter::measure;
use crate::plot::{self, Curve, Panel};
use crate::run::Run;

/// So many tasks are scheduled and run at each point.
const PROBE: usize = 2_000;
/// So many reads are made at each point.
const READS: usize = 100;

/// All curves; drawn where the command line names a folder.
pub(crate) fn all(run: &mut Run) -> Result<()> {
    let panels = [stored(run)?, due(run)?, events(run)?, sharing(run)?];
    for panel in &panels {
        for curve in &panel.curves {
            for (x, cost) in &curve.points {
                let case = format!("growth with {}: {x}", panel.over);
                run.report.add(&case, &curve.name, "us", [*cost], None);
            }
        }
    }
    run.plot().map_or(Ok(()), |folder| plot::write(&folder.join("growth.svg"), &panels))
}

/// Curves that are filled point by point.
struct Curves(Vec<Curve>);

impl Curves {
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Curve { name: (*name).to_owned(), points: Vec::new() }).collect())
    }

    fn add(&mut self, x: usize, costs: &[f64]) {
        for (curve, cost) in self.0.iter_mut().zip(costs) {
            curve.points.push((x as f64, *cost));
        }
    }
}

/// Ten times as many at each step, up to the most.
fn steps(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(most), |size| (*size > 1_000).then_some(size / 10))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
}

fn stored(run: &mut Run) -> Result<Panel> {
    let house = House::new()?;
    let mut curves = Curves::of(&["schedule", "claim and finish", "look one up", "list 100"]);
    let mut there = 0;
    for size in steps(run.pending()) {
        house.pend(size - there)?;
        there = size;
        let [schedule, drain] = schedule_and_drain(run, &house)?;
        let client = house.client()?;
        let look_up = read(run, |number| {
            let id = name((number * 7919 % size) as u64);
            house.block_on(client.get_task(id)).map(drop)
        })?;
        let filter = TaskFilter::new().limit(100);
        let list = read(run, |_| house.block_on(client.list_tasks(&filter)).map(drop))?;
        curves.add(size, &[schedule, drain, look_up, list]);
    }
    Ok(Panel { over: "stored tasks", curves: curves.0 })
}

fn due(run: &mut Run) -> Result<Panel> {
    let mut curves = Curves::of(&["claim and finish"]);
    for size in steps(run.size(100_000)) {
        let house = House::new()?;
        house.schedule(house.immediate(size)?)?;
        let (_, cost) = measure(|| house.drain(100))?;
        curves.add(size, &[cost.cpu * 1e6 / size as f64]);
    }
    Ok(Panel { over: "due tasks", curves: curves.0 })
}

fn events(run: &mut Run) -> Result<Panel> {
    let house = House::new()?;
    let names =
        ["schedule", "claim and finish", "history of one task", "verify, an event", "rebuild, an event"];
    let mut curves = Curves::of(&names);
    for size in steps(run.events()) {
        house.age(size as u64)?;
        let [schedule, drain] = schedule_and_drain(run, &house)?;
        let client = house.client()?;
        let history = read(run, |_| house.block_on(client.task_history(name(0))).map(drop))?;
        let events = house.block_on(house.store().head())?.number() as f64;
        let (_, verify) = measure(|| Ok(house.block_on(house.store().verify())?))?;
        let (_, rebuild) = measure(|| Ok(house.block_on(house.store().rebuild_projection())?))?;
        let each = |cost: f64| cost * 1e6 / events;
        curves.add(size, &[schedule, drain, history, each(verify.cpu), each(rebuild.cpu)]);
    }
    Ok(Panel { over: "events", curves: curves.0 })
}

/// Each on a store of its own, as if it were a process.
fn sharing(run: &mut Run) -> Result<Panel> {
    let mut curves = Curves::of(&["claim and finish"]);
    let tasks = run.size(PROBE * 2);
    for sharers in [1, 2, 4] {
        let house = House::new()?;
        house.schedule(house.immediate(tasks)?)?;
        let schedulers = (0..sharers).map(|_| {
            let builder = Scheduler::builder(SqliteStore::open(house.path())?).with_max_concurrent_tasks(100);
            anyhow::Ok(builder.with_task_handler(Work::new()).build()?)
        });
        let schedulers = schedulers.collect::<Result<Vec<_>>>()?;
        let (_, cost) = measure(|| {
            house.block_on(async {
                let mut running = tokio::task::JoinSet::new();
                for scheduler in schedulers {
                    running.spawn(async move { scheduler.run_until_idle().await });
                }
                while let Some(ended) = running.join_next().await {
                    ended??;
                }
                anyhow::Ok(())
            })
        })?;
        curves.add(sharers, &[cost.cpu * 1e6 / tasks as f64]);
    }
    Ok(Panel { over: "processes", curves: curves.0 })
}

fn schedule_and_drain(run: &Run, house: &House) -> Result<[f64; 2]> {
    let tasks = run.size(PROBE);
    let requests = house.immediate(tasks)?;
    let (_, schedule) = measure(|| house.schedule(requests))?;
    let (_, drain) = measure(|| house.drain(100))?;
    Ok([schedule, drain].map(|cost| cost.cpu * 1e6 / tasks as f64))
}

fn read(run: &Run, read: impl Fn(usize) -> azoth_scheduler::Result<()>) -> Result<f64> {
    let reads = run.size(READS);
    let (_, cost) = measure(|| (0..reads).try_for_each(&read).context("failed to read"))?;
    Ok(cost.cpu * 1e6 / reads as f64)
}
