//! How fast the whole scheduler is, side by side with its limit: what plain SQLite does with the same rows.
//!
//! Both are measured in one run and take turns, so what slows the machine down slows down both. Each figure is a median
//! over rounds, with the least and the greatest; ratios are made pair by pair. All is durable, at `synchronous=FULL`.
//!
//! ```text
//! cargo xtask bench speed                                    # everything, in a small size
//! cargo xtask bench speed -- drain pickup                    # the workloads with these words in their names
//! cargo xtask bench speed -- --pending 1000000 --events 10000000 --drained 1000000
//! ```
//!
//! Files are made in the folder for temporary files: set `TMPDIR` to measure another disk. Without `--bench`, which cargo
//! passes, every workload is done once in a tiny size and nothing is said of times.

mod drain;
mod enqueue;
mod growth;
mod house;
mod latency;
mod meter;
mod plot;
mod process;
mod raw;
mod report;
mod run;
mod whole;

use anyhow::{Context, Result};

use self::run::Run;

/// A workload, by its name.
type Workload = (&'static str, fn(&mut Run) -> Result<()>);

const WORKLOADS: &[Workload] = &[
    ("enqueue one", enqueue::one_by_one),
    ("enqueue many", enqueue::by_many),
    ("enqueue batch", enqueue::in_batches),
    ("drain", drain::all),
    ("pickup", latency::pickup),
    ("lateness", latency::lateness),
    ("full drain", drain::when_full),
    ("full pickup", latency::pickup_when_full),
    ("full lateness", latency::lateness_when_full),
    ("verify", whole::verify),
    ("rebuild", whole::rebuild),
    ("memory", process::memory),
    ("idle", process::idle),
    ("growth", growth::all),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((process::CHILD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return process::be_child(rest);
    }
    let mut run = Run::asked_for(arguments)?;
    for (name, workload) in WORKLOADS {
        if run.wants(name) {
            workload(&mut run).with_context(|| format!("failed at the workload `{name}`"))?;
        }
    }
    run.end()
}
