//! `cargo xtask test-all`: the one gate. It edits no source, stops at the first step that fails, and ends with a list
//! of all steps.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::steps::{STEPS, Step};
use crate::workspace::Workspace;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    List,
    Run(Choice),
}

/// Which steps to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// These alone; all if empty.
    only: Vec<String>,
    /// But not these.
    skip: Vec<String>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Passed(Duration),
    Failed(Duration),
    Skipped,
    NotReached,
}

/// Runs the command with the arguments behind its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match parse(arguments)? {
        Wish::Help => print!("{}", help()),
        Wish::List => print!("{}", list()),
        Wish::Run(choice) => run_steps(&choice)?,
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Wish> {
    let mut choice = Choice::default();
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Wish::Help),
            "--list" => return Ok(Wish::List),
            "--only" => choice.only.push(step_name("--only", left.next())?),
            "--skip" => choice.skip.push(step_name("--skip", left.next())?),
            unknown => bail!("unknown argument `{unknown}`\n\n{}", help()),
        }
    }
    if STEPS.iter().all(|step| !choice.takes(step)) {
        bail!("`--skip` leaves no step of those that `--only` names");
    }
    Ok(Wish::Run(choice))
}

fn step_name(flag: &str, given: Option<&String>) -> Result<String> {
    let name = given.with_context(|| format!("`{flag}` needs the name of a step:\n{}", list()))?;
    if STEPS.iter().all(|step| step.name != name) {
        bail!("unknown step `{name}`; the steps are:\n{}", list());
    }
    Ok(name.clone())
}

fn help() -> String {
    let usage = "usage: cargo xtask test-all [--only STEP].. [--skip STEP].. [--list] [--help]";
    format!("{usage}\n\nsteps, in order:\n{}", list())
}

fn list() -> String {
    STEPS.iter().fold(String::new(), |list, step| format!("{list}  {:<15} {}\n", step.name, step.about))
}

impl Choice {
    fn takes(&self, step: &Step) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == step.name);
        (self.only.is_empty() || names(&self.only)) && !names(&self.skip)
    }
}

fn run_steps(choice: &Choice) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut endings = Vec::with_capacity(STEPS.len());
    let mut failure = None;
    for step in STEPS {
        if !choice.takes(step) {
            endings.push(Ending::Skipped);
        } else if failure.is_some() {
            endings.push(Ending::NotReached);
        } else {
            println!("\n==== {}: {}", step.name, step.about);
            let started = Instant::now();
            let result = step.run(&workspace).with_context(|| format!("step `{}` failed", step.name));
            endings.push(ending(&result, started.elapsed()));
            failure = result.err();
        }
    }
    print!("{}", summary(&endings));
    failure.map_or(Ok(()), Err)
}

fn ending(result: &Result<()>, took: Duration) -> Ending {
    match result {
        Ok(()) => Ending::Passed(took),
        Err(_) => Ending::Failed(took),
    }
}

/// All steps with what became of them, and the verdict.
fn summary(endings: &[Ending]) -> String {
    let mut text = String::from("\n==== steps\n");
    for (step, ending) in STEPS.iter().zip(endings) {
        let (word, took) = match ending {
            Ending::Passed(took) => ("passed", format!("{:>8.1} s", took.as_secs_f64())),
            Ending::Failed(took) => ("FAILED", format!("{:>8.1} s", took.as_secs_f64())),
            Ending::Skipped => ("skipped", String::new()),
            Ending::NotReached => ("not run", String::new()),
        };
        let line = format!("  {word:<8} {:<15} {took}", step.name);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "gate: {}", verdict(endings));
    text
}

fn verdict(endings: &[Ending]) -> String {
    let count = |of: fn(&Ending) -> bool| endings.iter().filter(|ending| of(ending)).count();
    let passed = count(|ending| matches!(ending, Ending::Passed(_)));
    let skipped = count(|ending| *ending == Ending::Skipped);
    let failed = endings.iter().any(|ending| matches!(ending, Ending::Failed(_)));
    let word = if failed { "FAILED" } else { "passed" };
    format!("{word}, {passed} of {} steps passed, {skipped} skipped", endings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Wish> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn taken(words: &str) -> Vec<&'static str> {
        let Wish::Run(choice) = parse_words(words).unwrap() else { panic!("{words:?} runs nothing") };
        STEPS.iter().filter(|step| choice.takes(step)).map(|step| step.name).collect()
    }

    #[test]
    fn without_arguments_all_steps_are_taken() {
        assert_eq!(taken("").len(), STEPS.len());
    }

    #[test]
    fn only_and_skip_choose_among_the_steps_in_their_order() {
        assert_eq!(taken("--only tidy --only format"), ["format", "tidy"]);
        assert_eq!(taken("--only tidy --only format --skip tidy"), ["format"]);
        assert!(!taken("--skip docs").contains(&"docs"));
        assert_eq!(taken("--skip docs").len(), STEPS.len() - 1);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        let argument = parse_words("--fast").unwrap_err().to_string();
        assert!(argument.starts_with("unknown argument `--fast`"), "{argument}");
        assert!(argument.contains("--only STEP"), "{argument}");

        let step = parse_words("--only test").unwrap_err().to_string();
        assert!(step.starts_with("unknown step `test`; the steps are:"), "{step}");
        assert!(step.contains("doc-tests"), "{step}");

        assert!(parse_words("--only").unwrap_err().to_string().starts_with("`--only` needs the name"));
    }

    #[test]
    fn a_choice_of_nothing_is_refused_so_that_it_cannot_pass() {
        assert!(parse_words("--only tidy --skip tidy").is_err());
    }

    #[test]
    fn the_summary_names_every_step_with_its_ending() {
        let took = Duration::from_millis(1_250);
        let mut endings = vec![Ending::NotReached; STEPS.len()];
        endings[0] = Ending::Passed(took);
        endings[1] = Ending::Skipped;
        endings[2] = Ending::Failed(took);

        let text = summary(&endings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..6],
            [
                "==== steps",
                "  passed   format               1.2 s",
                "  skipped  layers",
                "  FAILED   tidy                 1.2 s",
                "  not run  clippy",
            ]
        );
        assert_eq!(lines.len(), STEPS.len() + 3);
        let verdict = format!("gate: FAILED, 1 of {} steps passed, 1 skipped", STEPS.len());
        assert_eq!(lines.last(), Some(&verdict.as_str()));
    }
}
