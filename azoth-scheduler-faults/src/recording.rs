//! What was written and synced, and what a power cut leaves of it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Everything that changed files, in order.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    file: String,
    what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { bytes: usize },
    Delete,
    Sync,
}

/// What happens to changes that were not synced when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All are lost.
    Lost,
    /// All are there, as after the end of the process alone.
    Kept,
    /// Each is there or not, and the last one that is there is torn at a sector; the same for the same seed.
    Random(u64),
}

/// Files as they are found when the power is back, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<String, Vec<u8>>,
}

impl Recording {
    pub(crate) fn push(&mut self, file: &str, what: What) {
        self.changes.push(Change { file: file.to_owned(), what });
    }

    /// How many changes there are: a moment between two of them.
    pub fn moment(&self) -> usize {
        self.changes.len()
    }

    /// The moments right before and right after each sync, and the last one.
    pub fn sync_boundaries(&self) -> Vec<usize> {
        let syncs = self.changes.iter().enumerate().filter(|(_, change)| matches!(change.what, What::Sync));
        let mut moments: Vec<usize> = syncs.flat_map(|(at, _)| [at, at + 1]).collect();
        moments.push(self.changes.len());
        moments.dedup();
        moments
    }

    /// What happened right before a moment, for a message.
    pub fn before(&self, moment: usize, changes: usize) -> String {
        let last = self.changes.iter().enumerate().take(moment).skip(moment.saturating_sub(changes));
        let told = last.map(|(at, Change { file, what })| match what {
            What::Write { offset, bytes } => format!("{at}: write {file} {offset}+{}", bytes.len()),
            What::Truncate { bytes } => format!("{at}: truncate {file} {bytes}"),
            What::Delete => format!("{at}: delete {file}"),
            What::Sync => format!("{at}: sync {file}"),
        });
        told.collect::<Vec<_>>().join("\n")
    }

    /// The files after a power cut at a moment.
    pub fn cut(&self, moment: usize, fate: Fate) -> Image {
        let mut chance = Chance::new(fate, moment);
        let mut image = Image::default();
        let changes = self.changes.get(..moment).unwrap_or(&self.changes);
        let mut files: Vec<&str> = changes.iter().map(|change| change.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        for file in files {
            let of_file: Vec<&What> =
                changes.iter().filter(|change| change.file == file).map(|change| &change.what).collect();
            let synced = of_file.iter().rposition(|what| matches!(what, What::Sync)).unwrap_or(0);
            let (durable, pending) = of_file.split_at(synced);
            let mut content = None;
            for what in durable {
                apply(&mut content, what, None);
            }
            let kept: Vec<&&What> = pending.iter().filter(|_| chance.keeps()).collect();
            for (at, what) in kept.iter().enumerate() {
                let torn = (at + 1 == kept.len()).then(|| chance.torn()).flatten();
                apply(&mut content, what, torn);
            }
            if let Some(content) = content {
                image.files.insert(file.to_owned(), content);
            }
        }
        image
    }
}

impl Image {
    /// Writes the files into a folder.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
    }

    /// How long a file is; `None` for one that is not there.
    pub fn len_of(&self, name: &str) -> Option<usize> {
        self.files.get(name).map(Vec::len)
    }
}

/// Applies a change. One that is torn keeps only so many of its sectors.
fn apply(content: &mut Option<Vec<u8>>, what: &What, torn: Option<u64>) {
    match what {
        What::Write { offset, bytes } => {
            let content = content.get_or_insert_default();
            let kept = torn.map_or(bytes.len(), |random| whole_sectors(*offset, bytes.len(), random));
            let end = offset + kept;
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(&bytes[..kept]);
        }
        What::Truncate { bytes } => content.get_or_insert_default().truncate(*bytes),
        What::Delete => *content = None,
        What::Sync => {}
    }
}

/// How many bytes of a write reach the disk if it ends at a boundary between sectors.
fn whole_sectors(offset: usize, bytes: usize, random: u64) -> usize {
    let first = SECTOR - offset % SECTOR;
    let boundaries: Vec<usize> = (first..bytes).step_by(SECTOR).chain([0, bytes]).collect();
    let chosen = random % boundaries.len() as u64;
    boundaries[usize::try_from(chosen).unwrap_or(0)]
}

/// What a disk writes whole.
const SECTOR: usize = 512;

struct Chance {
    fate: Fate,
    state: u64,
}

impl Chance {
    fn new(fate: Fate, moment: usize) -> Self {
        let seed = if let Fate::Random(seed) = fate { seed } else { 0 };
        Self { fate, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (moment as u64).wrapping_add(1) }
    }

    /// The generator `splitmix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn keeps(&mut self) -> bool {
        match self.fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Random(_) => self.next().is_multiple_of(2),
        }
    }

    fn torn(&mut self) -> Option<u64> {
        matches!(self.fate, Fate::Random(_)).then(|| self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: usize, byte: u8, count: usize) -> What {
        What::Write { offset, bytes: vec![byte; count] }
    }

    fn recording() -> Recording {
        let mut recording = Recording::default();
        for what in [write(0, 1, 600), What::Sync, write(512, 2, 2_000), write(0, 3, 10)] {
            recording.push("a", what);
        }
        recording
    }

    #[test]
    fn what_was_synced_is_there_whatever_happens() {
        let recording = recording();
        for fate in (0..50).map(Fate::Random).chain([Fate::Lost, Fate::Kept]) {
            let image = recording.cut(4, fate);
            assert_eq!(image.files["a"][10..512], [1; 502], "{fate:?}");
        }
        assert_eq!(recording.cut(4, Fate::Lost).files["a"], [1; 600]);
        assert_eq!(recording.cut(4, Fate::Kept).files["a"].len(), 2_512);
        assert_eq!(recording.cut(1, Fate::Lost).len_of("a"), None);
    }

    #[test]
    fn what_was_not_synced_may_come_in_part_and_in_another_order() {
        let recording = recording();
        let images: Vec<_> = (0..50).map(|seed| recording.cut(4, Fate::Random(seed)).files).collect();
        let length = |wanted: fn(usize) -> bool| images.iter().any(|files| wanted(files["a"].len()));
        assert!(length(|bytes| bytes == 600) && length(|bytes| bytes == 2_512));
        assert!(length(|bytes| bytes > 600 && bytes < 2_512 && bytes % SECTOR == 0), "torn");
        let second_alone = |files: &BTreeMap<String, Vec<u8>>| files["a"].len() == 600 && files["a"][0] == 3;
        assert!(images.iter().any(second_alone));
    }

    #[test]
    fn boundaries_stand_on_both_sides_of_a_sync() {
        assert_eq!(recording().sync_boundaries(), [1, 2, 4]);
    }
}
