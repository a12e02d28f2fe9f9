//! How fast the whole scheduler is, side by side with its limit: what plain SQLite does with the same rows.
//!
//! Both are measured in one run and take turns, so what slows the machine down slows down both. Each figure is a median
//! over rounds, with the least and the greatest; ratios are made pair by pair. All is durable, at `synchronous=FULL`.
//!
//! ```text
//! cargo xtask bench speed                                    # everything, in a small size
//! cargo xtask bench speed -- drain pickup                    # the workloads with these words in their names
//! cargo xtask bench speed -- --pending 1000000 --events 10000000
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
mod whole;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use self::house::House;
use self::meter::Cost;
use self::raw::Templates;
use self::report::Report;

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

/// What the command line asks for.
#[derive(Debug)]
struct Wish {
    is_timed: bool,
    json: Option<PathBuf>,
    words: Vec<String>,
    pending: usize,
    events: usize,
    rounds: usize,
    plot: Option<PathBuf>,
}

/// One run: what was asked for, what was found, and what workloads share.
pub(crate) struct Run {
    wish: Wish,
    pub(crate) report: Report,
    templates: Option<Rc<Templates>>,
    full: Option<Rc<House>>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((process::CHILD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return process::be_child(rest);
    }
    let wish = Wish::parse(arguments)?;
    let json = wish.json.clone();
    let mut run = Run { wish, report: Report::new(), templates: None, full: None };
    for (name, workload) in WORKLOADS {
        if run.wants(name) {
            workload(&mut run).with_context(|| format!("failed at the workload `{name}`"))?;
        }
    }
    json.map_or(Ok(()), |path| run.report.write(&path))
}

impl Run {
    /// Whether a workload, or a part of one, is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let words = &self.wish.words;
        words.is_empty() || words.iter().any(|word| name.contains(word) || word.starts_with(name))
    }

    /// The rounds in which both have a turn, another one first in each. What both have cost in each.
    pub(crate) fn pairs(
        &self,
        mut ours: impl FnMut() -> Result<Cost>,
        mut limit: impl FnMut() -> Result<Cost>,
    ) -> Result<(Vec<Cost>, Vec<Cost>)> {
        let (mut by_us, mut by_limit) = (Vec::new(), Vec::new());
        for round in 0..self.rounds() {
            if round % 2 == 0 {
                by_us.push(ours()?);
                by_limit.push(limit()?);
            } else {
                by_limit.push(limit()?);
                by_us.push(ours()?);
            }
        }
        Ok((by_us, by_limit))
    }

    pub(crate) fn rounds(&self) -> usize {
        if self.wish.is_timed { self.wish.rounds } else { 1 }
    }

    /// So many tasks, or a few if nothing is timed.
    pub(crate) fn size(&self, tasks: usize) -> usize {
        if self.wish.is_timed { tasks } else { tasks.min(40) }
    }

    pub(crate) fn pending(&self) -> usize {
        self.size(self.wish.pending)
    }

    pub(crate) fn events(&self) -> usize {
        self.size(self.wish.events)
    }

    /// The folder for curves.
    pub(crate) fn plot(&self) -> Option<&Path> {
        self.wish.plot.as_deref()
    }

    /// The rows that raw SQLite writes.
    pub(crate) fn templates(&mut self) -> Result<Rc<Templates>> {
        if self.templates.is_none() {
            self.templates = Some(Rc::new(Templates::take()?));
        }
        self.templates.clone().context("there are no templates")
    }

    /// A file with tasks that wait for later and a long log.
    pub(crate) fn full_house(&mut self) -> Result<Rc<House>> {
        if self.full.is_none() {
            let house = House::new()?;
            house.pend(self.pending())?;
            house.age(self.events() as u64)?;
            self.full = Some(Rc::new(house));
        }
        self.full.clone().context("there is no full file")
    }

    pub(crate) fn fullness(&self) -> String {
        format!("{} pending, {} events", self.wish.pending, self.wish.events)
    }
}

impl Wish {
    fn parse(arguments: Vec<String>) -> Result<Self> {
        let mut wish = Self {
            is_timed: false,
            json: None,
            words: Vec::new(),
            pending: 100_000,
            events: 200_000,
            rounds: 5,
            plot: None,
        };
        let mut left = arguments.into_iter();
        while let Some(argument) = left.next() {
            let mut value = || left.next().with_context(|| format!("`{argument}` needs a value"));
            match argument.as_str() {
                "--bench" => wish.is_timed = true,
                "--json" => wish.json = Some(value()?.into()),
                "--plot" => wish.plot = Some(value()?.into()),
                "--pending" => wish.pending = value()?.parse().context("`--pending` needs a number")?,
                "--events" => wish.events = value()?.parse().context("`--events` needs a number")?,
                "--rounds" => wish.rounds = value()?.parse().context("`--rounds` needs a number")?,
                unknown if unknown.starts_with('-') => bail!("unknown argument `{unknown}`"),
                _ => wish.words.push(argument),
            }
        }
        anyhow::ensure!(wish.rounds > 0, "`--rounds` must be at least 1");
        Ok(wish)
    }
}
