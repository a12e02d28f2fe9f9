//! Figures of a whole process, taken in one of its own: memory while it drains, and the processor while it idles.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use azoth_scheduler::prelude::*;

use crate::house::{House, TASK_TYPE, Work};
use crate::meter::{cpu_seconds, memory_kib};
use crate::report::Goal;
use crate::run::Run;

/// What a child process is told to do with a file.
const DRAIN: &str = "drain";
const IDLE: &str = "idle";
/// The argument that makes a process a child.
pub(crate) const CHILD: &str = "--child";

/// Memory above the start while a queue is drained beside tasks that wait for later.
pub(crate) fn memory(run: &mut Run) -> Result<()> {
    let (pending, tasks) = (run.pending(), run.drained());
    let house = House::new()?;
    house.pend(pending)?;
    let case = format!("memory, {pending} pending, {tasks} run");
    let mut found = Vec::new();
    for _ in 0..run.rounds() {
        house.schedule(house.immediate(tasks)?)?;
        found.push(child(DRAIN, &house.path())?);
    }
    run.report.add(
        &case,
        "most above the start",
        "MiB",
        found.iter().map(|mib| mib[0]),
        Some(Goal::AtMost(32.0)),
    );
    let goal = Some(Goal::AtMost(1.1));
    run.report.add(&case, "end of start of drain", "x", found.iter().map(|mib| mib[1]), goal);
    Ok(())
}

/// The processor's time of a scheduler that waits, with a thousand cron tasks.
pub(crate) fn idle(run: &mut Run) -> Result<()> {
    let house = House::new()?;
    let requests = (0..1_000).map(|number: u32| {
        let expression = format!("0 {} {} 1 1 *", number % 60, number % 24);
        ScheduleTaskRequest::builder(format!("cron-{number}")).task_type(TASK_TYPE).cron(expression).build()
    });
    house.schedule(requests.collect::<azoth_scheduler::Result<_>>()?)?;
    let mut found = Vec::new();
    for _ in 0..run.rounds() {
        found.push(child(IDLE, &house.path())?[0]);
    }
    run.report.add("idle, 1000 cron tasks", "processor", "%", found, Some(Goal::AtMost(0.1)));
    Ok(())
}

/// Runs this program as a child, and reads the two numbers that it prints.
fn child(what: &str, file: &Path) -> Result<[f64; 2]> {
    let output = Command::new(std::env::current_exe()?).args([CHILD, what]).arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "a child failed: {errors}");
    let mut numbers = text.split_whitespace().map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).context("a child gave no number");
    Ok([next()?, next()?])
}

/// What the child does.
pub(crate) fn be_child(arguments: &[String]) -> Result<()> {
    let [what, file] = arguments else { bail!("a child needs a wish and a file") };
    let (at_start, _) = memory_kib()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let store = SqliteStore::open(file)?;
    let work = Work::new();
    let scheduler =
        Scheduler::builder(store).with_max_concurrent_tasks(100).with_task_handler(work).build()?;
    match what.as_str() {
        DRAIN => {
            runtime.block_on(scheduler.run_until_idle())?;
            let (at_end, most) = memory_kib()?;
            println!("{} {}", (most - at_start) / 1024.0, at_end / most);
        }
        IDLE => {
            let running = scheduler.clone();
            runtime.spawn(async move { running.run().await });
            std::thread::sleep(Duration::from_secs(1));
            let before = cpu_seconds();
            std::thread::sleep(IDLE_FOR);
            let used = cpu_seconds() - before;
            println!("{} 0", used / IDLE_FOR.as_secs_f64() * 100.0);
            runtime.block_on(async { scheduler.shutdown().await });
        }
        other => bail!("unknown wish of a child: {other}"),
    }
    Ok(())
}

const IDLE_FOR: Duration = Duration::from_secs(10);
