//! What people of this repository run, as `cargo xtask COMMAND`.

mod bench;
mod command;
mod examples;
mod finding;
mod floor;
mod layers;
mod simulate;
mod source;
mod steps;
mod test_all;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// One word after `cargo xtask`.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test-all",
        about: "the gate: every check a change must pass; edits nothing",
        run: test_all::run,
    },
    Command {
        name: "simulate",
        about: "the simulation of ourselves, over as many seeds as asked",
        run: simulate::run,
    },
    Command { name: "bench", about: "the benchmarks, and what changed since a saved run", run: bench::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", help());
        return Ok(());
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return Ok(());
    }
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(rest),
        None => bail!("unknown command `{name}`\n\n{}", help()),
    }
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [--help]\n\ncommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_refused_with_the_known_ones() {
        let refusal = dispatch(&["test-al".to_owned()]).unwrap_err().to_string();

        assert!(refusal.starts_with("unknown command `test-al`"), "{refusal}");
        assert!(refusal.contains("test-all"), "{refusal}");
    }
}
