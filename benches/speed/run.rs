//! One run of the benchmark: what was asked for, what was found, and what its workloads share.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use crate::house::House;
use crate::raw::Templates;
use crate::report::Report;

/// What the command line asks for.
#[derive(Debug)]
struct Wish {
    is_timed: bool,
    json: Option<PathBuf>,
    words: Vec<String>,
    pending: usize,
    events: usize,
    drained: usize,
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

impl Run {
    /// A run that nothing was found in yet.
    pub(crate) fn asked_for(arguments: Vec<String>) -> Result<Self> {
        let wish = Wish::parse(arguments)?;
        Ok(Self { wish, report: Report::new(), templates: None, full: None })
    }

    /// Writes down what was found, where that was asked for.
    pub(crate) fn end(&self) -> Result<()> {
        self.wish.json.as_deref().map_or(Ok(()), |path| self.report.write(path))
    }

    /// Whether a workload, or a part of one, is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let words = &self.wish.words;
        words.is_empty() || words.iter().any(|word| name.contains(word) || word.starts_with(name))
    }

    /// The rounds in which both have a turn, another one first in each. What was found of both in each.
    pub(crate) fn pairs<T>(
        &self,
        mut ours: impl FnMut() -> Result<T>,
        mut limit: impl FnMut() -> Result<T>,
    ) -> Result<(Vec<T>, Vec<T>)> {
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

    /// So many tasks are run while memory is watched.
    pub(crate) fn drained(&self) -> usize {
        self.size(self.wish.drained)
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
            drained: 20_000,
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
                "--drained" => wish.drained = value()?.parse().context("`--drained` needs a number")?,
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
