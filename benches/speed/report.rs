//! The table that is printed, and the file that is written.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::meter::{Cost, Spread};

/// What was found so far.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    results: Vec<Figure>,
}

/// One figure: a median over rounds and how far to trust it.
#[derive(Serialize)]
struct Figure {
    case: String,
    who: String,
    unit: &'static str,
    median: f64,
    least: f64,
    greatest: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn met_by(self, value: f64) -> bool {
        match self {
            Goal::AtLeast(goal) => value >= goal,
            Goal::AtMost(goal) => value <= goal,
        }
    }

    fn words(self) -> String {
        match self {
            Goal::AtLeast(goal) => format!("at least {goal}"),
            Goal::AtMost(goal) => format!("at most {goal}"),
        }
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        println!("{:<46} {:<22} {:>12} {:>25}  goal", "case", "", "median", "least to greatest");
        Self { bench: "speed", results: Vec::new() }
    }

    /// Adds a figure with one value for each round.
    pub(crate) fn add(
        &mut self,
        case: &str,
        who: &str,
        unit: &'static str,
        values: impl IntoIterator<Item = f64>,
        goal: Option<Goal>,
    ) {
        let Spread { median, least, greatest } = Spread::of(values);
        let met = goal.map(|goal| goal.met_by(median));
        let spread = format!("{} to {}", short(least), short(greatest));
        let goal = goal.map(Goal::words);
        let verdict = match (&goal, met) {
            (Some(goal), Some(true)) => format!("{goal}: met"),
            (Some(goal), _) => format!("{goal}: MISSED"),
            (None, _) => String::new(),
        };
        println!("{case:<46} {who:<22} {:>12} {spread:>25}  {verdict}", short(median) + unit);
        self.results.push(Figure {
            case: case.into(),
            who: who.into(),
            unit,
            median,
            least,
            greatest,
            goal,
            met,
        });
    }

    /// Adds what two contestants of the same rounds have cost for so many tasks each, and the ratios pair by pair: of
    /// their rates, of the time of the processor, of the bytes written.
    pub(crate) fn pair(&mut self, case: &str, tasks: usize, ours: &[Cost], raw: &[Cost], goals: Goals) {
        let tasks = tasks as f64;
        self.add(case, "ours", "/s", ours.iter().map(|cost| tasks / cost.wall), None);
        self.add(case, "raw", "/s", raw.iter().map(|cost| tasks / cost.wall), None);
        let pairs = || ours.iter().zip(raw);
        self.add(case, "rate, of raw", "x", pairs().map(|(ours, raw)| raw.wall / ours.wall), goals.rate);
        self.add(case, "processor, ours", "us", ours.iter().map(|cost| cost.cpu * 1e6 / tasks), None);
        self.add(case, "processor, of raw", "x", pairs().map(|(ours, raw)| ours.cpu / raw.cpu), None);
        if raw.iter().all(|cost| cost.written > 0.0) {
            self.add(case, "bytes written, ours", "B", ours.iter().map(|cost| cost.written / tasks), None);
            let ratios = pairs().map(|(ours, raw)| ours.written / raw.written);
            self.add(case, "bytes written, of raw", "x", ratios, goals.written);
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
    }
}

/// Goals of a pair.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goals {
    pub(crate) rate: Option<Goal>,
    pub(crate) written: Option<Goal>,
}

impl Goals {
    pub(crate) fn rate(at_least: f64) -> Self {
        Self { rate: Some(Goal::AtLeast(at_least)), written: None }
    }
}

/// A number with about four figures.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}
