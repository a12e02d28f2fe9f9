//! Running cargo, as a person in this folder would.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// What `cargo run` tells its child about the package that it runs. A build script that watches one of these would
/// be run again by every cargo that inherits them.
const ABOUT_THIS_PACKAGE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// A cargo call, as data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cargo {
    /// Subcommand and arguments.
    pub(crate) arguments: &'static [&'static str],
    /// Environment variables that it needs.
    pub(crate) env: &'static [(&'static str, &'static str)],
}

impl Cargo {
    /// A call without environment variables of its own.
    pub(crate) const fn new(arguments: &'static [&'static str]) -> Self {
        Self { arguments, env: &[] }
    }

    /// The same call with environment variables.
    pub(crate) const fn with_env(self, env: &'static [(&'static str, &'static str)]) -> Self {
        Self { arguments: self.arguments, env }
    }

    /// Runs it in `folder`, its output going where ours goes.
    pub(crate) fn run(&self, folder: &Path) -> Result<()> {
        let mut command = cargo(folder);
        command.args(self.arguments).envs(self.env.iter().copied());
        run(&mut command)
    }
}

/// A cargo of the toolchain that runs us, in `folder`, without input.
pub(crate) fn cargo(folder: &Path) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let inherited = name.to_str().unwrap_or_default();
        if ABOUT_THIS_PACKAGE.iter().any(|prefix| inherited.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Shows the call, runs it, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("failed to start `{}`", shown(command)))?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// Runs the call and gives what it wrote to its output; its errors go where ours go.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start `{}`", shown(command)))?;
    ensure!(output.status.success(), "`{}` ended with {}", shown(command), output.status);
    Ok(output.stdout)
}

/// Whether cargo has the subcommand here.
pub(crate) fn has_subcommand(folder: &Path, subcommand: &str) -> bool {
    let mut command = cargo(folder);
    command.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Adds a part of the toolchain, unless the subcommand that it brings is there.
pub(crate) fn ensure_component(folder: &Path, subcommand: &str, component: &str) -> Result<()> {
    if has_subcommand(folder, subcommand) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", component]).current_dir(folder).stdin(Stdio::null());
    run(&mut rustup).with_context(|| format!("`cargo {subcommand}` is missing and cannot be added"))?;
    if !has_subcommand(folder, subcommand) {
        bail!("`cargo {subcommand}` is still missing after `rustup component add {component}`");
    }
    Ok(())
}

/// The call as one would type it: program by its file name, variables of its own in front.
fn shown(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut words: Vec<String> =
        set.map(|(name, value)| format!("{}={:?}", name.display(), value.to_string_lossy())).collect();
    let program = Path::new(command.get_program());
    words.push(program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned());
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_one_would_type_it() {
        let mut command = cargo(Path::new("."));
        command.arg("doc").env("RUSTDOCFLAGS", "-D warnings");

        assert_eq!(shown(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc");
    }

    #[test]
    fn a_call_that_fails_is_an_error_that_shows_it() {
        let failure = Cargo::new(&["no-such-subcommand"]).run(Path::new(".")).unwrap_err().to_string();

        assert!(failure.starts_with("`cargo no-such-subcommand` ended with"), "{failure}");
    }

    #[test]
    fn a_subcommand_is_found_only_where_it_is() {
        assert!(has_subcommand(Path::new("."), "fmt"));
        assert!(!has_subcommand(Path::new("."), "no-such-subcommand"));
    }
}
