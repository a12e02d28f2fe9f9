//! What reads the whole log: verifying it, and making the projection anew.

use anyhow::{Result, ensure};
use azoth_scheduler::Store;

use crate::Run;
use crate::house::House;
use crate::meter::measure;
use crate::raw::Raw;
use crate::report::Goal;

/// Verifying, by the time of the processor.
pub(crate) fn verify(run: &mut Run) -> Result<()> {
    let (house, _, events) = drained(run)?;
    let mut costs = Vec::new();
    for _ in 0..run.rounds() {
        let (report, cost) = measure(|| Ok(house.block_on(house.store().verify())?))?;
        ensure!(report.is_sound(), "the log is damaged: {:?}", report.findings);
        costs.push(cost);
    }
    let rates = costs.iter().map(|cost| events / cost.cpu);
    run.report.add("verify", "events a core", "/s", rates, Some(Goal::AtLeast(1e6)));
    Ok(())
}

/// A rebuild, and the part of it that is not writing: what SQLite takes to insert the same rows is measured beside it.
pub(crate) fn rebuild(run: &mut Run) -> Result<()> {
    let (house, tasks, events) = drained(run)?;
    let templates = run.templates()?;
    let folder = tempfile::tempdir()?;
    let ours = || Ok(measure(|| Ok(house.block_on(house.store().rebuild_projection())?))?.1);
    let limit = || {
        let mut raw = Raw::new(&templates, folder.path())?;
        Ok(measure(|| raw.insert_rows(tasks))?.1)
    };
    let (ours, limit) = run.pairs(ours, limit)?;
    let tasks = tasks as f64;
    let case = "rebuild";
    run.report.add(case, "rows written", "/s", ours.iter().map(|cost| tasks / cost.cpu), None);
    run.report.add(case, "rows written by raw", "/s", limit.iter().map(|cost| tasks / cost.cpu), None);
    let ratios = ours.iter().zip(&limit).map(|(ours, limit)| limit.cpu / ours.cpu);
    run.report.add(case, "processor, raw of ours", "x", ratios, Some(Goal::AtLeast(0.5)));
    let rates = ours.iter().zip(&limit).map(|(ours, limit)| events / (ours.cpu - limit.cpu).max(1e-9));
    run.report.add(case, "read and folded a core", "/s", rates, Some(Goal::AtLeast(2e6)));
    Ok(())
}

/// A file on which tasks have run.
fn drained(run: &Run) -> Result<(House, usize, f64)> {
    let tasks = run.size(50_000);
    let house = House::new()?;
    house.schedule(house.immediate(tasks)?)?;
    house.drain(1_000)?;
    let events = house.block_on(house.store().head())?.number() as f64;
    Ok((house, tasks, events))
}
