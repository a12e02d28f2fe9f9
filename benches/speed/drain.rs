//! Running what is queued: each event recorded, each attempt durable before its handler starts.

use anyhow::Result;

use crate::house::House;
use crate::meter::{Cost, measure};
use crate::raw::Raw;
use crate::report::{Goal, Goals};
use crate::run::Run;

/// Queues of both sizes at both concurrencies.
pub(crate) fn all(run: &mut Run) -> Result<()> {
    let (few, many) = (run.size(10_000), run.size(100_000));
    for (tasks, slots, rate, written) in
        [(few, 100, 0.5, true), (few, 10, 0.3, false), (many, 100, 0.5, false), (many, 10, 0.3, false)]
    {
        let case = format!("drain {tasks} at concurrency {slots}");
        if run.wants(&case) {
            one(run, &case, tasks, slots, rate, written)?;
        }
    }
    Ok(())
}

fn one(run: &mut Run, case: &str, tasks: usize, slots: usize, rate: f64, written: bool) -> Result<()> {
    let templates = run.templates()?;
    let ours = || {
        let house = House::new()?;
        house.schedule(house.immediate(tasks)?)?;
        Ok(measure(|| house.drain(slots))?.1)
    };
    let limit = || {
        let folder = tempfile::tempdir()?;
        let mut raw = Raw::new(&templates, folder.path())?;
        let keys = raw.schedule(tasks, 1_000)?;
        Ok(measure(|| raw.claim_and_finish(&keys, 1_000))?.1)
    };
    let (ours, limit) = run.pairs(ours, limit)?;
    let written = written.then_some(Goal::AtMost(1.5));
    run.report.pair(case, tasks, &ours, &limit, Goals { written, ..Goals::rate(rate) });
    Ok(())
}

/// The same beside tasks that wait for later, with a long log, against an empty file.
pub(crate) fn when_full(run: &mut Run) -> Result<()> {
    let tasks = run.size(10_000);
    let full = run.full_house()?;
    let drain = |house: &House| -> Result<Cost> {
        house.schedule(house.immediate(tasks)?)?;
        Ok(measure(|| house.drain(100))?.1)
    };
    let (full, empty) = run.pairs(|| drain(&full), || drain(&House::new()?))?;
    let case = format!("drain {tasks}, {}", run.fullness());
    let ratios =
        |of: fn(&Cost) -> f64| full.iter().zip(&empty).map(move |(full, empty)| of(full) / of(empty));
    run.report.add(&case, "time, of empty", "x", ratios(|cost| cost.wall), Some(Goal::AtMost(1.3)));
    run.report.add(&case, "processor, of empty", "x", ratios(|cost| cost.cpu), None);
    run.report.add(&case, "bytes written, of empty", "x", ratios(|cost| cost.written.max(1.0)), None);
    Ok(())
}
