//! What becomes of two files, and what of it is found when. No test here waits: how old a look is, is told.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicBool;
use std::thread;

use tempfile::TempDir;

use super::*;

/// Two files that are open and were noted, in a folder that can be moved.
struct House {
    root: TempDir,
    files: Files,
    _open: [File; 2],
    /// When they were last looked at. It lies ahead, so it does not matter how long a test takes.
    looked_at: Instant,
}

impl House {
    /// The files are watched.
    fn new() -> Self {
        let house = Self::unwatched();
        for _ in 0..LOOKS_UNWATCHED {
            house.ask().expect("all is in order");
        }
        house
    }

    /// They are not watched yet.
    fn unwatched() -> Self {
        let root = tempfile::tempdir().expect("a folder can be made");
        fs::create_dir(root.path().join("folder")).expect("a folder can be made");
        let files = Files::new(&root.path().join("folder/scheduler.db"));
        let open = [&files.database, &files.wal].map(|path| File::create(path).expect("a file can be made"));
        files.note().expect("the files are there");
        let looked_at = Instant::now() + Duration::from_secs(3_600);
        Self { root, files, _open: open, looked_at }
    }

    /// Asks while the last look is this old, unless there was another one.
    fn ask_after(&self, span: Duration) -> Result<(), StoreError> {
        self.files.recheck_at(self.looked_at + span)
    }

    /// Asks while no look is due.
    fn ask(&self) -> Result<(), StoreError> {
        self.ask_after(Duration::ZERO)
    }

    fn move_folder(&self, from: &str, to: &str) {
        fs::rename(self.root.path().join(from), self.root.path().join(to)).expect("a folder can be moved");
    }

    fn aside(&self) -> PathBuf {
        self.root.path().join("aside")
    }
}

fn replaced(path: &Path) -> Result<(), StoreError> {
    Err(StoreError::Replaced { path: path.to_owned() })
}

fn change_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode can be changed");
}

const HALF: Duration = Duration::from_millis(500);

#[test]
fn file_that_is_deleted_replaced_or_moved_is_found_by_everybody_who_asks_and_before_a_look_is_due() {
    let delete = |_: &House, path: &Path| fs::remove_file(path);
    let replace = |house: &House, path: &Path| {
        fs::write(house.aside(), []).unwrap();
        fs::rename(house.aside(), path)
    };
    let move_away = |house: &House, path: &Path| fs::rename(path, house.aside());
    let happens: [fn(&House, &Path) -> std::io::Result<()>; 3] = [delete, replace, move_away];
    for happens in happens {
        for of in [|files: &Files| files.database.clone(), |files: &Files| files.wal.clone()] {
            let house = House::new();
            let path = of(&house.files);
            assert_eq!(house.ask(), Ok(()));
            happens(&house, &path).unwrap();
            for _ in 0..3 {
                assert_eq!(house.ask(), replaced(&path));
            }
        }
    }
}

#[test]
fn file_that_is_moved_away_and_back_is_in_order_again_and_watched() {
    let house = House::new();
    for path in [&house.files.database, &house.files.wal] {
        for _ in 0..2 {
            fs::rename(path, house.aside()).unwrap();
            assert_eq!(house.ask(), replaced(path));
            fs::rename(house.aside(), path).unwrap();
            assert_eq!(house.ask(), Ok(()));
        }
    }
}

#[test]
fn file_that_nobody_may_write_any_more_is_found_before_a_look_is_due() {
    let house = House::new();
    for path in [&house.files.database, &house.files.wal] {
        change_mode(path, 0o444);
        for _ in 0..2 {
            let found = house.ask();
            assert!(matches!(&found, Err(StoreError::ReadOnly { path: of, .. }) if of == path), "{found:?}");
        }
        change_mode(path, 0o600);
        assert_eq!(house.ask(), Ok(()));
    }
}

#[test]
fn file_that_is_only_touched_is_looked_at_once() {
    let chmod = |_: &House, path: &Path| change_mode(path, 0o644);
    let link = |house: &House, path: &Path| fs::hard_link(path, house.aside()).unwrap();
    let touches: [fn(&House, &Path); 2] = [chmod, link];
    for touch in touches {
        let house = House::new();
        let path = house.files.database.clone();
        change_mode(&path, 0o644);
        house.ask().unwrap();
        touch(&house, &path);
        assert_eq!(house.ask_after(HALF), Ok(()));
        // A look would find nothing now. It is not due, since there was one half a second ago.
        house.move_folder("folder", "elsewhere");
        assert_eq!(house.ask_after(LOOK_HOLDS), Ok(()));
        assert_eq!(house.ask_after(LOOK_HOLDS + HALF), replaced(&path));
    }
}

#[test]
fn folder_that_is_moved_is_found_when_the_last_look_does_not_hold_any_more() {
    let house = House::new();
    house.move_folder("folder", "elsewhere");
    assert_eq!(house.ask_after(LOOK_HOLDS - Duration::from_nanos(1)), Ok(()));
    for span in [LOOK_HOLDS, Duration::ZERO] {
        assert_eq!(house.ask_after(span), replaced(&house.files.database), "once found it stays so");
    }
    house.move_folder("elsewhere", "folder");
    assert_eq!(house.ask(), Ok(()));
}

#[test]
fn files_are_watched_once_some_commits_had_to_look() {
    let house = House::unwatched();
    for _ in 1..LOOKS_UNWATCHED {
        assert_eq!(house.ask(), Ok(()));
        assert!(house.files.lock().as_ref().unwrap().fate.is_none());
    }
    assert_eq!(house.ask(), Ok(()));
    // A look would find nothing now.
    house.move_folder("folder", "elsewhere");
    assert_eq!(house.ask(), Ok(()));
    house.move_folder("elsewhere", "folder");
    fs::remove_file(&house.files.wal).unwrap();
    assert_eq!(house.ask(), replaced(&house.files.wal));
}

#[test]
fn without_a_watch_each_commit_looks() {
    let house = House::unwatched();
    // One was tried for in vain.
    house.files.lock().as_mut().unwrap().looks = LOOKS_UNWATCHED;
    for _ in 0..2 {
        house.move_folder("folder", "elsewhere");
        assert_eq!(house.ask(), replaced(&house.files.database));
        house.move_folder("elsewhere", "folder");
        assert_eq!(house.ask(), Ok(()));
    }
}

#[test]
fn doubt_is_not_lost_to_others_who_ask_and_look_meanwhile() {
    let house = House::new();
    let (over, path) = (AtomicBool::new(false), &house.files.wal);
    thread::scope(|scope| {
        for look in [Files::check, Files::recheck] {
            let (files, over) = (&house.files, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = look(files);
                    thread::yield_now();
                }
            });
        }
        let is_found = (0..200).all(|_| {
            let away = fs::rename(path, house.aside()).map(|()| house.files.recheck());
            let back = fs::rename(house.aside(), path).map(|()| house.files.recheck());
            away.is_ok_and(|found| found == replaced(path)) && back.is_ok_and(|found| found.is_ok())
        });
        over.store(true, Ordering::Relaxed);
        assert!(is_found);
    });
}

#[test]
fn log_that_was_made_anew_is_watched_once_it_is_noted() {
    let house = House::new();
    let path = &house.files.wal;
    // The id of a file that is open is not given to another one.
    let mut open = Vec::new();
    for _ in 0..2 {
        fs::remove_file(path).unwrap();
        open.push(File::create(path).unwrap());
        assert_eq!(house.ask(), replaced(path));
        house.files.note().unwrap();
        assert_eq!(house.ask(), Ok(()));
        fs::rename(path, house.aside()).unwrap();
        assert_eq!(house.ask(), replaced(path));
        fs::rename(house.aside(), path).unwrap();
    }
}

#[test]
fn log_is_measured_whatever_became_of_the_database_and_keeps_its_length_when_it_is_gone() {
    let house = House::new();
    fs::write(&house.files.wal, [7; 5_000]).unwrap();
    fs::remove_file(&house.files.database).unwrap();
    assert_eq!((house.files.wal_bytes(), house.files.measure_wal()), (0, 5_000));
    fs::remove_file(&house.files.wal).unwrap();
    assert_eq!((house.files.measure_wal(), house.files.wal_bytes()), (5_000, 5_000));
}

#[test]
fn less_is_asked_of_a_file_and_the_same_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert_eq!(seen(&path), None);
    fs::write(&path, [7; 5_000]).unwrap();
    for mode in [0o600, 0o444, 0o020] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let found = seen(&path).unwrap();
        assert_eq!((Some(found), found.bytes), (seen_whole(&path), 5_000));
        assert_eq!(found.readonly, mode == 0o444);
    }
    fs::write(folder.path().join("other"), []).unwrap();
    assert_ne!(seen(&path).unwrap().id, seen(&folder.path().join("other")).unwrap().id);
}
