//! Events that are put aside until other tasks are done with, in parts of neighbouring tasks.
//!
//! The first ones are in memory. The others are in a file without a name in the folder of the database, since what tasks carry
//! must not show up elsewhere; it is gone with the process. It is made when there is something to put into it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::beside::io_error;
use super::packed::{Packed, pack};
use super::passing::Passing;
use crate::error::StoreError;

/// The events that were put aside.
#[derive(Debug)]
pub(super) struct Aside {
    folder: PathBuf,
    file: Option<File>,
    /// So many keys belong to a part.
    width: u64,
    parts: BTreeMap<u64, Part>,
    /// How many events there are.
    events: u64,
    /// So many bytes more may be kept in memory.
    room: usize,
    /// Where the next chunk goes.
    end: u64,
}

/// The events of some tasks, in order.
#[derive(Debug, Default)]
pub(super) struct Part {
    chunks: Vec<Chunk>,
    /// What is in no chunk yet.
    rest: Vec<u8>,
}

/// A piece that begins and ends with an event.
#[derive(Debug)]
enum Chunk {
    Kept(Vec<u8>),
    /// Where in the file it is.
    Filed {
        at: u64,
        bytes: usize,
    },
}

impl Aside {
    /// For events up to this one. A part has those of so many keys, and no more tasks are in memory for it.
    pub(super) fn new(database: &Path, through: u64, keys: u64) -> Self {
        let folder = database.parent().unwrap_or(Path::new("/")).to_owned();
        let width = through.div_ceil(PARTS_MAX).max(keys);
        Self { folder, file: None, width, parts: BTreeMap::new(), events: 0, room: KEPT_BYTES_MAX, end: 0 }
    }

    /// How many events are there.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Puts one more event aside.
    pub(super) fn put(&mut self, event: &Passing<'_>) -> Result<(), StoreError> {
        let part = self.parts.entry(event.stand.subject / self.width).or_default();
        pack(event, &mut part.rest);
        self.events += 1;
        if part.rest.len() < CHUNK_BYTES {
            return Ok(());
        }
        if let Some(room) = self.room.checked_sub(part.rest.len()) {
            self.room = room;
            let mut kept =
                std::mem::replace(&mut part.rest, Vec::with_capacity(CHUNK_BYTES + EVENT_BYTES_USUAL));
            kept.shrink_to_fit();
            part.chunks.push(Chunk::Kept(kept));
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none
                .insert(tempfile::tempfile_in(&self.folder).map_err(|error| io_error(&self.folder, &error))?),
        };
        file.write_all(&part.rest).map_err(|error| io_error(&self.folder, &error))?;
        part.chunks.push(Chunk::Filed { at: self.end, bytes: part.rest.len() });
        self.end += part.rest.len() as u64;
        part.rest.clear();
        Ok(())
    }

    /// The next part, that of the lowest keys first.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        self.parts.pop_first().map(|(_, part)| part)
    }

    /// Hands on the events of a part.
    pub(super) fn each(
        &mut self,
        part: Part,
        mut each: impl FnMut(Passing<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Part { chunks, rest } = part;
        let mut read = Vec::new();
        for chunk in chunks {
            let bytes = match &chunk {
                Chunk::Kept(bytes) => bytes,
                Chunk::Filed { at, bytes } => {
                    self.read(*at, *bytes, &mut read).map_err(|error| io_error(&self.folder, &error))?;
                    &read
                }
            };
            self.hand_on(bytes, &mut each)?;
        }
        self.hand_on(&rest, &mut each)
    }

    fn hand_on(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Passing<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for event in Packed(bytes) {
            each(event?)?;
            self.events -= 1;
        }
        Ok(())
    }

    fn read(&mut self, at: u64, bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(at))?;
        into.clear();
        let read = file.take(bytes as u64).read_to_end(into)?;
        if read == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// There are at most so many parts; in a longer log each has more keys.
const PARTS_MAX: u64 = 1_024;
/// A part is put away in pieces of this size, or a little more.
const CHUNK_BYTES: usize = 16 * 1_024;
/// Most events take no more.
const EVENT_BYTES_USUAL: usize = 512;
/// So much is kept in memory before anything is put into the file.
const KEPT_BYTES_MAX: usize = 16 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::packed::tests::event;

    #[test]
    fn events_come_back_by_tasks_and_in_order_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut aside = Aside::new(&folder.path().join("scheduler.db"), 100_000, 30_000);
        // There is room in memory for one of two long ones.
        aside.room = CHUNK_BYTES + CHUNK_BYTES / 2;
        let (long, short) = (vec![7; CHUNK_BYTES], vec![9]);
        let put = [
            event(40_000, 40_000, &long),
            event(40_001, 5, &short),
            event(40_002, 40_000, &short),
            event(40_003, 40_003, &long),
            event(40_004, 40_004, &[]),
        ];
        for (number, event) in put.iter().enumerate() {
            aside.put(event).unwrap();
            assert_eq!(aside.file.is_some(), number >= 3, "event {number}");
        }
        assert_eq!(aside.events(), 5);
        let mut parts = Vec::new();
        while let Some(part) = aside.next_part() {
            let mut positions = Vec::new();
            aside
                .each(part, |event| {
                    let was = put.iter().find(|put| put.stand == event.stand).unwrap();
                    assert_eq!((was.kind, was.record), (event.kind, event.record));
                    positions.push(event.stand.position);
                    Ok(())
                })
                .unwrap();
            parts.push(positions);
        }
        assert_eq!(parts, [vec![40_001], vec![40_000, 40_002, 40_003, 40_004]]);
        assert_eq!(aside.events(), 0);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "the file has no name: {left:?}");
    }
}
