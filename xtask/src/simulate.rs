//! `cargo xtask simulate`: the simulation of ourselves, over as many seeds as asked, or one seed again, step by step.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::workspace::Workspace;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    /// So many seeds, from this one on.
    Many {
        seeds: u64,
        from: u64,
    },
    /// This one, each step shown.
    Again {
        seed: u64,
    },
    /// So many tasks that are due at the same instant.
    Herd {
        tasks: u64,
    },
}

/// Runs the command with the arguments behind its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wish = parse(arguments)?;
    if wish == Wish::Help {
        println!("{USAGE}");
        return Ok(());
    }
    let workspace = Workspace::load()?;
    let mut cargo = command::cargo(&workspace.root);
    // Optimised, with the checks of a debug build: a seed in a tenth of the time, and nothing is looked at less closely.
    cargo.args(["test", "--release", "--config", "profile.release.debug-assertions=true"]);
    cargo.args(["--config", "profile.release.overflow-checks=true"]);
    cargo.args(["--package", "azoth-scheduler-runtime", "--all-features", "--test", "simulation", "--"]);
    let seeds = |cargo: &mut Command, seeds: u64, from: u64| {
        cargo.args(["promises_hold", "--nocapture"]);
        cargo.env("AZOTH_SIMULATE_FROM", from.to_string()).env("AZOTH_SIMULATE_SEEDS", seeds.to_string());
    };
    match wish {
        Wish::Help => {}
        Wish::Many { seeds: number, from } => seeds(&mut cargo, number, from),
        Wish::Again { seed } => {
            seeds(&mut cargo, 1, seed);
            cargo.env("AZOTH_SIMULATE_SHOW", "1").arg("--test-threads=1");
        }
        Wish::Herd { tasks } => {
            cargo.args(["herd", "--nocapture"]).env("AZOTH_SIMULATE_HERD", tasks.to_string());
        }
    }
    command::run(&mut cargo)
}

fn parse(arguments: &[String]) -> Result<Wish> {
    let (mut seeds, mut from, mut seed, mut herd) = (None, None, None, None);
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        let value = match argument.as_str() {
            "--help" | "-h" => return Ok(Wish::Help),
            "--seeds" => &mut seeds,
            "--from" => &mut from,
            "--seed" => &mut seed,
            "--herd" => &mut herd,
            unknown => bail!("unknown argument `{unknown}`\n\n{USAGE}"),
        };
        let given = left.next().with_context(|| format!("`{argument}` needs a number"))?;
        let number = given.parse::<u64>();
        *value = Some(number.with_context(|| format!("`{argument}` needs a number, not `{given}`"))?);
    }
    if let Some(tasks) = herd {
        let alone = seeds.or(from).or(seed).is_none();
        ensure!(alone, "`--herd` runs no seeds: leave out `--seeds`, `--from` and `--seed`");
        ensure!(tasks >= HERD_MIN, "`--herd` needs at least {HERD_MIN} tasks, not {tasks}");
        return Ok(Wish::Herd { tasks });
    }
    if let Some(seed) = seed {
        ensure!(
            seeds.is_none() && from.is_none(),
            "`--seed` runs one seed: leave out `--seeds` and `--from`"
        );
        return Ok(Wish::Again { seed });
    }
    Ok(Wish::Many { seeds: seeds.unwrap_or(SEEDS), from: from.unwrap_or(0) })
}

const SEEDS: u64 = 1_000;
/// Fewer are run down before everything was tried with them.
const HERD_MIN: u64 = 2_000;

const USAGE: &str = "usage: cargo xtask simulate [--seeds N] [--from S]   N seeds from S on (1000 from 0)
       cargo xtask simulate --seed S                one seed again, each of its steps shown
       cargo xtask simulate --herd N                N tasks that are due at the same instant";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Wish> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_a_start_and_one_seed_are_taken() {
        assert_eq!(parse_words("").unwrap(), Wish::Many { seeds: 1_000, from: 0 });
        assert_eq!(parse_words("--seeds 5 --from 7").unwrap(), Wish::Many { seeds: 5, from: 7 });
        assert_eq!(parse_words("--seed 9").unwrap(), Wish::Again { seed: 9 });
        assert_eq!(parse_words("--herd 1000000").unwrap(), Wish::Herd { tasks: 1_000_000 });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(parse_words("--seed 9 --from 1").is_err());
        assert!(parse_words("--herd 5000 --seeds 1").is_err());
        assert!(parse_words("--herd 5").unwrap_err().to_string().contains("at least 2000 tasks, not 5"));
        assert!(parse_words("--seeds many").unwrap_err().to_string().contains("not `many`"));
        assert!(parse_words("--all").unwrap_err().to_string().starts_with("unknown argument `--all`"));
    }
}
