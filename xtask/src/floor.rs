//! The store's tests at the floor of the range of SQLite drivers that it accepts.
//!
//! They run in a copy of the workspace below cargo's target folder, with a `Cargo.lock` of its own; the workspace itself
//! is left as it is. Only what changed is copied, so a second run builds only that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command;
use crate::tree;
use crate::workspace::Workspace;

/// Dependencies held at the lowest version of their range.
const AT_THE_FLOOR: &[&str] = &["rusqlite", "r2d2_sqlite"];

/// Tells the store's tests that an SQLite older than the store accepts is meant here.
const ALLOW_OLD_SQLITE: &str = "AZOTH_ALLOW_OLD_SQLITE_IN_TESTS";

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";

/// The workspace's lock file from which the copy's own was made.
const LOCK_BEFORE: &str = "Cargo.lock.before";

/// Copies the workspace, holds the drivers at their floor, and runs the store's tests.
pub(crate) fn test_store(workspace: &Workspace) -> Result<()> {
    let copy = workspace.target.join("floor");
    let AtTheFloor { files, versions } = at_the_floor(&workspace.root)?;
    mirror(&files, &copy).with_context(|| format!("failed to copy the workspace to {}", copy.display()))?;
    start_lock(&workspace.root, &copy)?;
    let mut test = command::cargo(&copy);
    test.args(["test", "--package", "azoth-scheduler-store", "--all-features"]);
    test.env("CARGO_TARGET_DIR", workspace.target.join("floor-target")).env(ALLOW_OLD_SQLITE, "1");
    command::run(&mut test)?;
    let lock = fs::read_to_string(copy.join(LOCK)).context("failed to read the copy's Cargo.lock")?;
    for (name, version) in &versions {
        ensure!(is_locked(&lock, name, version), "{name} was not built at its floor, {version}");
    }
    Ok(())
}

/// The workspace with the drivers held at their floor.
struct AtTheFloor {
    /// Every file but the lock, by its path.
    files: BTreeMap<String, Vec<u8>>,
    /// Each driver and its version.
    versions: Vec<(&'static str, String)>,
}

fn at_the_floor(root: &Path) -> Result<AtTheFloor> {
    let mut files = BTreeMap::new();
    for path in tree::files(root)?.into_iter().filter(|path| path != LOCK) {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("failed to read {path}"))?;
        files.insert(path, bytes);
    }
    let manifest = files.get(MANIFEST).context("the workspace has no Cargo.toml")?;
    let mut manifest = String::from_utf8(manifest.clone()).context("Cargo.toml is not UTF-8")?;
    let mut versions = Vec::new();
    for name in AT_THE_FLOOR {
        let (held, version) = hold(&manifest, name)?;
        manifest = held;
        versions.push((*name, version));
    }
    files.insert(MANIFEST.to_owned(), manifest.into_bytes());
    Ok(AtTheFloor { files, versions })
}

/// The manifest with `name = ">=0.31, <0.41"` replaced by `name = "=0.31.0"`, and that version.
fn hold(manifest: &str, name: &str) -> Result<(String, String)> {
    let is_range = |line: &&str| line.split(['=', ' ']).next() == Some(name) && line.contains("\">=");
    let line = manifest.lines().find(is_range);
    let line = line.with_context(|| format!("Cargo.toml has no line `{name} = \">=FLOOR, <CEILING\"`"))?;
    let range = line.split('"').find(|part| part.starts_with(">=")).unwrap_or_default();
    let floor = range.trim_start_matches(">=").split(',').next().unwrap_or_default().trim();
    let missing_parts = 2_usize.saturating_sub(floor.matches('.').count());
    let version = format!("{floor}{}", ".0".repeat(missing_parts));
    let held = line.replace(range, &format!("={version}"));
    Ok((manifest.replacen(line, &held, 1), version))
}

/// Makes the folder hold these files and no others, its lock files aside; files that are equal stay untouched, so
/// that cargo sees them as old.
fn mirror(files: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<()> {
    for (path, bytes) in files {
        let to = folder.join(path);
        if fs::read(&to).is_ok_and(|there| &there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        fs::write(&to, bytes)?;
    }
    for there in files_below(folder)? {
        let path = there.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
        if !files.contains_key(&path) && path != LOCK && path != LOCK_BEFORE {
            fs::remove_file(&there)?;
        }
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Lets the copy start from the workspace's lock file; cargo then moves only what the floor demands. A lock that was
/// made from the same one stays.
fn start_lock(root: &Path, copy: &Path) -> Result<()> {
    let lock = fs::read(root.join(LOCK)).context("failed to read Cargo.lock")?;
    let before = copy.join(LOCK_BEFORE);
    if fs::read(&before).is_ok_and(|there| there == lock) && copy.join(LOCK).is_file() {
        return Ok(());
    }
    fs::write(copy.join(LOCK), &lock)?;
    fs::write(before, &lock)?;
    Ok(())
}

/// Whether the lock file holds this package in this version and in no other.
fn is_locked(lock: &str, name: &str, version: &str) -> bool {
    let wanted = format!("version = \"{version}\"");
    let lines: Vec<&str> = lock.lines().collect();
    let here = format!("name = \"{name}\"");
    let mut versions = lines.windows(2).filter(|pair| pair[0] == here).map(|pair| pair[1]).peekable();
    versions.peek().is_some() && versions.all(|version| version == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: &str =
        "r2d2_sqlite = \">=0.24, <0.36\"\nrusqlite = { version = \">=0.31.2, <0.41\", a = \"b\" }\n";

    #[test]
    fn a_range_is_held_at_its_floor() {
        let (held, version) = hold(RANGES, "r2d2_sqlite").unwrap();
        assert_eq!(version, "0.24.0");
        assert_eq!(held, RANGES.replace(">=0.24, <0.36", "=0.24.0"));

        let (held, version) = hold(RANGES, "rusqlite").unwrap();
        assert_eq!(version, "0.31.2");
        assert_eq!(held, RANGES.replace(">=0.31.2, <0.41", "=0.31.2"));
    }

    #[test]
    fn a_dependency_without_a_range_is_refused_so_that_the_step_cannot_pass_by_accident() {
        let refusal = hold("rusqlite = \"0.40\"\n", "rusqlite").unwrap_err().to_string();

        assert_eq!(refusal, "Cargo.toml has no line `rusqlite = \">=FLOOR, <CEILING\"`");
    }

    #[test]
    fn the_manifest_of_this_workspace_can_be_held() {
        let root = Workspace::load().unwrap().root;

        let AtTheFloor { files, versions } = at_the_floor(&root).unwrap();
        assert_eq!(versions.len(), AT_THE_FLOOR.len());
        assert!(files.contains_key("xtask/src/floor.rs"));
        assert!(!files.contains_key(LOCK));
    }

    #[test]
    fn a_lock_with_another_or_a_second_version_is_not_at_the_floor() {
        let one = "name = \"rusqlite\"\nversion = \"0.31.0\"\n";
        let two = "name = \"rusqlite\"\nversion = \"0.40.2\"\n";

        assert!(is_locked(one, "rusqlite", "0.31.0"));
        assert!(!is_locked(two, "rusqlite", "0.31.0"));
        assert!(!is_locked(&format!("{one}{two}"), "rusqlite", "0.31.0"));
        assert!(!is_locked("", "rusqlite", "0.31.0"));
    }

    #[test]
    fn a_mirror_leaves_equal_files_untouched_and_removes_what_is_gone() {
        let folder = std::env::temp_dir().join(format!("azoth-gate-mirror-{}", std::process::id()));
        let files = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect();
        mirror(&files(&["a.rs", "b/c.rs"]), &folder).unwrap();
        fs::write(folder.join(LOCK), "lock").unwrap();
        let written = || fs::metadata(folder.join("a.rs")).unwrap().modified().unwrap();
        let before = written();

        mirror(&files(&["a.rs", "d.rs"]), &folder).unwrap();

        assert_eq!(written(), before);
        assert!(!folder.join("b/c.rs").exists());
        assert!(folder.join("d.rs").exists());
        assert!(folder.join(LOCK).exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
