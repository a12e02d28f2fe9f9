//! `cargo xtask bench`: the benchmarks of all members, one after the other, and what changed since a saved run.
//!
//! A benchmark is any `[[bench]]` target that prints a table and writes its results to the file that `--json` names.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::command;
use crate::workspace::Workspace;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    Run(Choice),
}

/// What to run, and what to hold it against.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// These alone; all if empty.
    names: Vec<String>,
    /// The results of earlier runs: the file of one of them, or a folder of many.
    against: Option<PathBuf>,
    /// A folder to keep the results in.
    save: Option<PathBuf>,
    /// A folder for the curves that benchmarks draw.
    plot: Option<PathBuf>,
    /// What the benchmarks themselves are told.
    passed_on: Vec<String>,
}

/// A benchmark's results, as it writes them.
#[derive(Debug, Deserialize)]
struct Results {
    bench: String,
    results: Vec<Figure>,
}

/// What was found of one contestant in one case, over several rounds.
#[derive(Debug, Deserialize)]
struct Figure {
    case: String,
    who: String,
    unit: String,
    median: f64,
    least: f64,
    greatest: f64,
}

/// Runs the command with the arguments behind its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match parse(arguments)? {
        Wish::Help => println!("{USAGE}"),
        Wish::Run(choice) => run_benches(&choice)?,
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Wish> {
    let mut choice = Choice::default();
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Wish::Help),
            "--against" => choice.against = Some(value(argument, &mut left)?),
            "--save" => choice.save = Some(value(argument, &mut left)?),
            "--plot" => choice.plot = Some("docs".into()),
            "--" => choice.passed_on.extend(left.by_ref().cloned()),
            unknown if unknown.starts_with('-') => bail!("unknown argument `{unknown}`\n\n{USAGE}"),
            name => choice.names.push(name.to_owned()),
        }
    }
    Ok(Wish::Run(choice))
}

fn value<'a>(flag: &str, left: &mut impl Iterator<Item = &'a String>) -> Result<PathBuf> {
    Ok(left.next().with_context(|| format!("`{flag}` needs a path"))?.into())
}

fn run_benches(choice: &Choice) -> Result<()> {
    let workspace = Workspace::load()?;
    let benches = chosen(&workspace.benches(), &choice.names)?;
    // Read first: it may be the very file that the run replaces.
    let before = choice.against.as_deref().map(read_all).transpose()?.unwrap_or_default();
    if let Some(stranger) =
        before.iter().find(|before| benches.iter().all(|(_, bench)| *bench != before.bench))
    {
        ensure!(before.len() > 1, "`--against` names results of `{}`, which is not run", stranger.bench);
    }
    let folder = workspace.target.join("bench");
    for folder in [Some(&folder), choice.save.as_ref()].into_iter().flatten() {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    for (package, bench) in benches {
        let file = folder.join(format!("{bench}.json"));
        let mut cargo = command::cargo(&workspace.root);
        cargo.args(["bench", "--package", package, "--all-features", "--bench", bench, "--", "--json"]);
        cargo.arg(&file).args(&choice.passed_on);
        if let Some(plot) = choice.plot.as_ref().filter(|_| bench == DRAWS) {
            cargo.arg("--plot").arg(workspace.root.join(plot));
        }
        command::run(&mut cargo)?;
        let now = Results::read(&file)?;
        println!("results: {}", file.display());
        if let Some(before) = before.iter().find(|before| before.bench == bench) {
            print!("\n{}", comparison(before, &now));
        }
        if let Some(kept) = &choice.save {
            let kept = kept.join(format!("{bench}.json"));
            fs::copy(&file, &kept).with_context(|| format!("failed to write {}", kept.display()))?;
        }
    }
    Ok(())
}

/// The results in a file, or in all files of a folder.
fn read_all(path: &Path) -> Result<Vec<Results>> {
    if !path.is_dir() {
        return Ok(vec![Results::read(path)?]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut results = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            results.push(Results::read(&file)?);
        }
    }
    Ok(results)
}

/// The benchmarks with these names, or all, each with its package.
fn chosen<'a>(benches: &[(&'a str, &'a str)], names: &[String]) -> Result<Vec<(&'a str, &'a str)>> {
    let known: Vec<&str> = benches.iter().map(|(_, bench)| *bench).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("unknown benchmark `{unknown}`; there are: {}", known.join(", "));
    }
    let is_chosen = |bench: &str| names.is_empty() || names.iter().any(|name| name == bench);
    Ok(benches.iter().copied().filter(|(_, bench)| is_chosen(bench)).collect())
}

impl Results {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} holds no results", path.display()))
    }

    fn of(&self, case: &str, who: &str) -> Option<&Figure> {
        self.results.iter().find(|figure| figure.case == case && figure.who == who)
    }
}

/// Every contestant that both runs have. Those whose code did not change say how much the machine did.
fn comparison(before: &Results, now: &Results) -> String {
    let mut text =
        format!("{:<46} {:<22} {:>12} {:>12} {:<4} {:>8}\n", "case", "", "before", "now", "", "change");
    for figure in &now.results {
        let Figure { case, who, unit, median, .. } = figure;
        let Some(old) = before.of(case, who) else {
            let _ = writeln!(text, "{case:<46} {who:<22} {:>12} {median:>12.3} {unit:<4} {:>8}", "", "new");
            continue;
        };
        let percent = (median / old.median - 1.0) * 100.0;
        let mark = if figure.is_apart_from(old) { "" } else { "  within the spread" };
        let _ = writeln!(
            text,
            "{case:<46} {who:<22} {:>12.3} {median:>12.3} {unit:<4} {percent:>+7.1}%{mark}",
            old.median
        );
    }
    text
}

impl Figure {
    /// Whether no value of one run lies among those of the other.
    fn is_apart_from(&self, other: &Figure) -> bool {
        self.least > other.greatest || self.greatest < other.least
    }
}

/// The benchmark that draws curves.
const DRAWS: &str = "speed";

const USAGE: &str = "\
usage: cargo xtask bench [NAME..] [--save FOLDER] [--against PATH] [--plot] [--help] [-- ARGUMENT..]

Runs the benchmarks with these names, or all, in a release build. Each prints a table and writes its results to
bench/NAME.json in cargo's target folder. `--save` keeps a copy of them in a folder; `--against` shows what changed
since the results in a file, or in a folder that was saved. `--plot` also draws the curves of growth, into docs/. What
stands behind `--` goes to the benchmarks: words choose workloads, and `speed` knows --pending N, --events N, --rounds N,
and --drained N: so many tasks are run while memory is watched.";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn results(times: &[(&str, &str, [f64; 3])]) -> Results {
        let figures = times.iter().map(|(case, who, [least, median, greatest])| Figure {
            case: (*case).to_owned(),
            who: (*who).to_owned(),
            unit: "ns".to_owned(),
            median: *median,
            least: *least,
            greatest: *greatest,
        });
        Results { bench: "next".to_owned(), results: figures.collect() }
    }

    #[test]
    fn names_paths_and_what_is_passed_on_are_taken_and_unknown_flags_refused() {
        let wish =
            parse(&words("next claim --against saved --save kept --plot -- --rounds 7 drain")).unwrap();
        let choice = Choice {
            names: words("next claim"),
            against: Some("saved".into()),
            save: Some("kept".into()),
            plot: Some("docs".into()),
            passed_on: words("--rounds 7 drain"),
        };
        assert_eq!(wish, Wish::Run(choice));
        assert!(parse(&words("--fast")).unwrap_err().to_string().starts_with("unknown argument `--fast`"));
        let refusal = parse(&words("--against")).unwrap_err().to_string();
        assert_eq!(refusal, "`--against` needs a path");
    }

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_known_ones() {
        let benches = [("core", "next"), ("store", "claim")];
        assert_eq!(chosen(&benches, &[]).unwrap(), benches);
        assert_eq!(chosen(&benches, &words("claim")).unwrap(), [("store", "claim")]);
        let refusal = chosen(&benches, &words("clam")).unwrap_err().to_string();
        assert_eq!(refusal, "unknown benchmark `clam`; there are: next, claim");
    }

    #[test]
    fn a_comparison_tells_a_change_from_the_spread() {
        let before = results(&[("a", "ours", [90.0, 100.0, 110.0]), ("b", "ours", [90.0, 100.0, 110.0])]);
        let now = results(&[
            ("a", "ours", [105.0, 120.0, 130.0]),
            ("b", "ours", [45.0, 50.0, 55.0]),
            ("c", "ours", [1.0, 1.0, 1.0]),
        ]);

        let text = comparison(&before, &now);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("+20.0%  within the spread"), "{text}");
        assert!(lines[2].ends_with("-50.0%"), "{text}");
        assert!(lines[3].ends_with("new"), "{text}");
    }

    #[test]
    fn the_benchmarks_of_this_workspace_are_found() {
        let workspace = Workspace::load().unwrap();
        for known in [("azoth-scheduler-core", "next_occurrence"), ("azoth-scheduler", DRAWS)] {
            assert!(workspace.benches().contains(&known), "{known:?}");
        }
    }
}
