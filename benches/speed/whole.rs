//! What reads the whole log: verifying it, and making the projection anew.

use std::path::Path;

use anyhow::{Result, ensure};
use azoth_scheduler::Store;
use azoth_scheduler::sqlite::Excerpt;
use azoth_scheduler::sqlite::rusqlite::{Connection, OpenFlags};
use azoth_scheduler::store::VerifyReport;

use crate::house::House;
use crate::meter::measure;
use crate::raw::Raw;
use crate::report::Goal;
use crate::run::Run;

/// Verifying, by the time of the processor. What hashing and decoding take is what the log alone takes, without what plain
/// SQLite takes to read the same rows.
pub(crate) fn verify(run: &mut Run) -> Result<()> {
    let (house, _, events) = drained(run)?;
    let sound = |report: VerifyReport| {
        ensure!(report.is_sound(), "the log is damaged: {:?}", report.findings);
        Ok(())
    };
    let mut whole = Vec::new();
    for _ in 0..run.rounds() {
        whole.push(measure(|| sound(house.block_on(house.store().verify())?))?.1);
    }
    let reader = Reader::open(&house.path())?;
    let log = || Ok(measure(|| sound(house.block_on(house.store().verify_log())?))?.1);
    let (log, raw) = run.pairs(log, || Ok(measure(|| reader.read())?.1))?;
    let case = "verify";
    run.report.add(case, "events a core, all", "/s", whole.iter().map(|cost| events / cost.cpu), None);
    run.report.add(case, "events a core, log", "/s", log.iter().map(|cost| events / cost.cpu), None);
    run.report.add(case, "rows read by raw", "/s", raw.iter().map(|cost| events / cost.cpu), None);
    let rates = log.iter().zip(&raw).map(|(log, raw)| events / (log.cpu - raw.cpu).max(1e-9));
    run.report.add(case, "hashed and decoded", "/s", rates, Some(Goal::AtLeast(1e6)));
    Ok(())
}

/// Reads what verifying reads, and does nothing with it.
struct Reader(Connection);

impl Reader {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?))
    }

    /// Every cell of the log and its payloads.
    fn read(&self) -> Result<()> {
        let mut bytes = 0;
        for table in ["azoth_log", "azoth_payloads"] {
            let mut statement = self.0.prepare(&format!("SELECT * FROM {table} ORDER BY position"))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    bytes += row.get_ref(column)?.as_blob().map_or(8, <[u8]>::len);
                }
            }
        }
        ensure!(std::hint::black_box(bytes) > 0, "there is nothing to read");
        Ok(())
    }
}

/// A rebuild, and the part of it that is neither reading nor writing: on the records of the same log in memory, by the
/// functions that the rebuild uses.
pub(crate) fn rebuild(run: &mut Run) -> Result<()> {
    let (house, tasks, events) = drained(run)?;
    let templates = run.templates()?;
    let folder = tempfile::tempdir()?;
    let mut excerpt = Excerpt::read(house.store())?;
    let mut folded = Vec::new();
    let ours = || {
        let (found, cost) = measure(|| Ok(excerpt.fold()?))?;
        ensure!(found == (events as u64, tasks as u64), "{found:?} were folded");
        folded.push(cost);
        Ok(measure(|| Ok(house.block_on(house.store().rebuild_projection())?))?.1)
    };
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
    let rates = folded.iter().map(|cost| events / cost.cpu);
    run.report.add(case, "decoded and folded a core", "/s", rates, Some(Goal::AtLeast(2e6)));
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
