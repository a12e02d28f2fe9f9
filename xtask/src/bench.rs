//! `cargo xtask bench`: the benchmarks of all members, one after the other, and what changed since a saved run.
//!
//! A benchmark is any `[[bench]]` target made of core's `benches/harness`: it prints its table and writes its results
//! to the file that `--json` names.

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
    /// The results of an earlier run of one of them.
    compare: Option<PathBuf>,
}

/// A benchmark's results, as it writes them.
#[derive(Debug, Deserialize)]
struct Results {
    bench: String,
    results: Vec<Times>,
}

/// The times of one contestant in one case, in nanoseconds per call.
#[derive(Debug, Deserialize)]
struct Times {
    case: String,
    who: String,
    median_ns: f64,
    least_ns: f64,
    greatest_ns: f64,
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
            "--compare" => choice.compare = Some(left.next().context("`--compare` needs a file")?.into()),
            unknown if unknown.starts_with('-') => bail!("unknown argument `{unknown}`\n\n{USAGE}"),
            name => choice.names.push(name.to_owned()),
        }
    }
    Ok(Wish::Run(choice))
}

fn run_benches(choice: &Choice) -> Result<()> {
    let workspace = Workspace::load()?;
    // Read first: it may be the very file that the run replaces.
    let before = choice.compare.as_deref().map(Results::read).transpose()?;
    let benches = chosen(&workspace.benches(), &choice.names)?;
    if let Some(before) = &before {
        let is_run = benches.iter().any(|(_, bench)| *bench == before.bench);
        ensure!(is_run, "`--compare` names results of `{}`, which is not run", before.bench);
    }
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for (package, bench) in benches {
        let file = folder.join(format!("{bench}.json"));
        let mut cargo = command::cargo(&workspace.root);
        cargo.args(["bench", "--package", package, "--all-features", "--bench", bench, "--", "--json"]);
        command::run(cargo.arg(&file))?;
        let now = Results::read(&file)?;
        println!("results: {}", file.display());
        if let Some(before) = before.as_ref().filter(|before| before.bench == bench) {
            print!("\n{}", comparison(before, &now));
        }
    }
    Ok(())
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

    fn of(&self, case: &str, who: &str) -> Option<&Times> {
        self.results.iter().find(|times| times.case == case && times.who == who)
    }
}

/// Every contestant that both runs have. Those whose code did not change say how much the machine did.
fn comparison(before: &Results, now: &Results) -> String {
    let mut text = format!("{:<44} {:<8} {:>12} {:>12} {:>8}\n", "case", "", "ns before", "ns now", "change");
    for times in &now.results {
        let Times { case, who, median_ns, .. } = times;
        let Some(old) = before.of(case, who) else {
            let _ = writeln!(text, "{case:<44} {who:<8} {:>12} {median_ns:>12.1} {:>8}", "", "new");
            continue;
        };
        let percent = (median_ns / old.median_ns - 1.0) * 100.0;
        let mark = if times.is_apart_from(old) { "" } else { "  within the spread" };
        let _ = writeln!(
            text,
            "{case:<44} {who:<8} {:>12.1} {median_ns:>12.1} {percent:>+7.1}%{mark}",
            old.median_ns
        );
    }
    text
}

impl Times {
    /// Whether no time of one run lies among those of the other.
    fn is_apart_from(&self, other: &Times) -> bool {
        self.least_ns > other.greatest_ns || self.greatest_ns < other.least_ns
    }
}

const USAGE: &str = "\
usage: cargo xtask bench [NAME..] [--compare FILE] [--help]

Runs the benchmarks with these names, or all, in a release build. Each prints a table and writes its results to
bench/NAME.json in cargo's target folder. `--compare` shows what changed since a copy of such a file was made.";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn results(times: &[(&str, &str, [f64; 3])]) -> Results {
        let times = times.iter().map(|(case, who, [least_ns, median_ns, greatest_ns])| Times {
            case: (*case).to_owned(),
            who: (*who).to_owned(),
            median_ns: *median_ns,
            least_ns: *least_ns,
            greatest_ns: *greatest_ns,
        });
        Results { bench: "next".to_owned(), results: times.collect() }
    }

    #[test]
    fn names_and_a_file_are_taken_and_unknown_flags_refused() {
        let wish = parse(&words("next claim --compare saved.json")).unwrap();
        assert_eq!(
            wish,
            Wish::Run(Choice { names: words("next claim"), compare: Some("saved.json".into()) })
        );
        assert!(parse(&words("--fast")).unwrap_err().to_string().starts_with("unknown argument `--fast`"));
        assert!(parse(&words("--compare")).is_err());
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
        assert!(workspace.benches().contains(&("azoth-scheduler-core", "next_occurrence")));
    }
}
