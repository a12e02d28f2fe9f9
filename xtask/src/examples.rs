//! Runs every example of the root package to its end, in a folder of its own, within a time limit.
//!
//! An example that needs arguments to end by itself says so in its source: `// gate: --for 3`. Each such line is a run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command;
use crate::workspace::{Target, Workspace};

/// How long one run may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How long to wait before looking again whether a run has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What introduces the arguments of a run.
const ARGUMENTS: &str = "// gate:";

/// Variables that say where temporary files go, on any system.
const TEMPORARY: &[&str] = &["TMPDIR", "TEMP", "TMP"];

/// Builds all examples once, then runs each.
pub(crate) fn run_all(workspace: &Workspace) -> Result<()> {
    let examples = workspace.examples();
    ensure!(!examples.is_empty(), "the root package has no examples");
    let programs = build(workspace)?;
    for example in examples {
        let name = &example.name;
        let program = programs.get(name).with_context(|| format!("cargo built no example `{name}`"))?;
        for arguments in runs(example)? {
            run(name, program, &arguments)?;
        }
    }
    Ok(())
}

/// Builds the examples as the tests build them, so that nothing is built twice. Gives each one's program.
fn build(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>> {
    let mut build = command::cargo(&workspace.root);
    build.args(["build", "--workspace", "--all-features", "--examples"]);
    build.arg("--message-format=json-render-diagnostics");
    let messages =
        String::from_utf8(command::output(&mut build)?).context("cargo's messages are not UTF-8")?;
    let mut programs = BTreeMap::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("failed to read a message of cargo")?;
        programs.extend(built_example(&message));
    }
    Ok(programs)
}

/// Name and program, if the message is about an example that was built.
fn built_example(message: &Value) -> Option<(String, PathBuf)> {
    let target = message.get("target")?;
    let is_example = target.get("kind")?.as_array()?.iter().any(|kind| kind == "example");
    let program = message.get("executable")?.as_str()?;
    is_example.then(|| Some((target.get("name")?.as_str()?.to_owned(), program.into())))?
}

/// The arguments of each run that the example's source asks for; one run without any if it asks for none.
fn runs(example: &Target) -> Result<Vec<Vec<String>>> {
    let path = &example.src_path;
    let source = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let runs = runs_in(&source);
    Ok(if runs.is_empty() { vec![Vec::new()] } else { runs })
}

fn runs_in(source: &str) -> Vec<Vec<String>> {
    let wishes = source.lines().filter_map(|line| line.trim_start().strip_prefix(ARGUMENTS));
    wishes.map(|wish| wish.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Runs the program once; a failure carries all that it printed.
fn run(name: &str, program: &Path, arguments: &[String]) -> Result<()> {
    let shown = [&[name.to_owned()], arguments].concat().join(" ");
    let folder = TemporaryFolder::new(name)?;
    let transcript = folder.path.join("gate-output.txt");
    let started = Instant::now();
    let mut child = start(program, arguments, &folder.path, &transcript)
        .with_context(|| format!("failed to start the example `{shown}`"))?;
    let ending = wait(&mut child, TIME_LIMIT)?;
    if ending.is_some_and(|status| status.success()) {
        println!("  ran `{shown}` in {:.1} s", started.elapsed().as_secs_f64());
        return Ok(());
    }
    let printed = fs::read(&transcript).unwrap_or_default();
    println!("---- output of `{shown}`\n{}\n----", String::from_utf8_lossy(&printed).trim_end());
    match ending {
        Some(status) => bail!("the example `{shown}` ended with {status}"),
        None => bail!("the example `{shown}` was stopped after {} s", TIME_LIMIT.as_secs()),
    }
}

/// Starts the program in the folder, without input, all that it prints going to one file. A file, not a pipe: no
/// one has to read it while the program runs.
fn start(program: &Path, arguments: &[String], folder: &Path, transcript: &Path) -> Result<Child> {
    let output = File::create(transcript)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(output.try_clone()?).stderr(output);
    for name in TEMPORARY {
        command.env(name, folder);
    }
    Ok(command.spawn()?)
}

/// Waits for the end of the child; kills it at the limit and gives `None`.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// A folder for one run, removed with all that is in it when the run is over.
struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("azoth-gate-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left of a run that failed to clean up is the system's to remove; the run's own result counts more.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_gate_comment_is_a_run_with_its_arguments() {
        let source =
            "//! About.\n// gate: --for 3\nfn main() {} // gate: no\n    // gate: --folder x\n// gate:\n";

        let runs = runs_in(source);
        assert_eq!(runs, [vec!["--for", "3"], vec!["--folder", "x"], vec![]]);
        assert!(runs_in("//! About.\n").is_empty());
    }

    #[test]
    fn only_a_message_about_an_example_gives_a_program() {
        let message = |kind: &str, executable: Value| {
            let target = json!({ "kind": [kind], "name": "basic" });
            json!({ "target": target, "executable": executable })
        };

        assert_eq!(
            built_example(&message("example", json!("/t/basic"))),
            Some(("basic".to_owned(), PathBuf::from("/t/basic")))
        );
        assert_eq!(built_example(&message("bin", json!("/t/basic"))), None);
        assert_eq!(built_example(&message("example", Value::Null)), None);
        assert_eq!(built_example(&json!({ "reason": "build-finished" })), None);
    }

    #[cfg(unix)]
    fn shell(script: &str) -> Result<()> {
        run("fixture", Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()])
    }

    #[cfg(unix)]
    #[test]
    fn a_run_has_its_own_folder_and_fails_with_its_exit_code() {
        shell("test . -ef \"$TMPDIR\" && test ! -e left && touch left").unwrap();

        let failure = shell("exit 3").unwrap_err().to_string();
        assert!(failure.contains("exit status: 3"), "{failure}");
        let folder = std::env::temp_dir().join(format!("azoth-gate-{}-fixture", std::process::id()));
        assert!(!folder.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_run_that_does_not_end_is_killed_at_the_limit() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();

        assert_eq!(wait(&mut child, Duration::from_millis(1)).unwrap(), None);
        assert!(child.try_wait().unwrap().is_some());
    }
}
