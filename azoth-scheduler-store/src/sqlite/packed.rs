//! Events one behind the other in memory: as they are put aside, and as the engine hands them over.
//!
//! To be asked for each cell of each row takes the engine longer than to find it. So a function of our own, which the engine
//! runs on its way along the log, packs the events of a page, and the page is one cell of one row.

use azoth_scheduler_core::time::Timestamp;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

use super::cell;
use super::passing::{Passing, Stand};
use crate::error::StoreError;

/// Teaches a connection the function `azoth_packed`: over position, instant, subject, previous, kind and record of some events it
/// gives those that go into a page, packed in the order in which they come; or, as a text, what is wrong with one of them.
pub(super) fn teach(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_aggregate_function("azoth_packed", CELLS, flags, Packer)
}

/// Puts an event behind others. Positions, the instant, the kind, the length of the record and the record; numbers little endian,
/// 0 for no position.
pub(super) fn pack(event: &Passing<'_>, to: &mut Vec<u8>) {
    let Passing { stand: Stand { position, at, subject, previous }, kind, record } = event;
    to.reserve(HEADER_BYTES + record.len());
    to.extend(position.to_le_bytes());
    to.extend(at.unix_ms().to_le_bytes());
    to.extend(subject.to_le_bytes());
    to.extend(previous.unwrap_or(0).to_le_bytes());
    to.extend((record.len() as u64).to_le_bytes());
    to.push(*kind);
    to.extend_from_slice(record);
}

/// Events that were packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'bytes>(pub(super) &'bytes [u8]);

impl<'bytes> Packed<'bytes> {
    /// The page that such a function gave as the first cell of a row; nothing where there was no event.
    pub(super) fn page(row: &'bytes Row<'_>) -> Result<Self, StoreError> {
        match row.get_ref(0)? {
            ValueRef::Blob(bytes) => Ok(Self(bytes)),
            ValueRef::Text(what) => Err(cell::corrupt(String::from_utf8_lossy(what))),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Ok(Self(&[])),
        }
    }

    fn read(&mut self) -> Option<Passing<'bytes>> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_BYTES>()?;
        let (numbers, kind) = header.split_first_chunk::<{ HEADER_BYTES - 1 }>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let [position, at, subject, previous, length] = numbers.try_into().ok()?;
        let at = Timestamp::from_unix_ms(i64::from_le_bytes(at)).ok()?;
        let (record, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(length)).ok()?)?;
        self.0 = rest;
        let stand = Stand {
            position: u64::from_le_bytes(position),
            at,
            subject: u64::from_le_bytes(subject),
            previous: Some(u64::from_le_bytes(previous)).filter(|previous| *previous > 0),
        };
        Some(Passing { stand, kind: *kind.first()?, record })
    }
}

impl<'bytes> Iterator for Packed<'bytes> {
    type Item = Result<Passing<'bytes>, StoreError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let event = self.read();
        if event.is_none() {
            self.0 = &[];
        }
        Some(event.ok_or_else(|| cell::corrupt("an event that was put into memory is not as it was")))
    }
}

/// The function.
struct Packer;

/// The events of a page so far, or what is wrong with the one behind them.
struct Page {
    packed: Vec<u8>,
    wrong: Option<StoreError>,
}

impl Aggregate<Page, Option<Value>> for Packer {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Page> {
        Ok(Page { packed: Vec::with_capacity(PAGE_BYTES_USUAL), wrong: None })
    }

    fn step(&self, cells: &mut Context<'_>, page: &mut Page) -> rusqlite::Result<()> {
        // Those that do not go into it any more are asked for with the next page.
        if page.wrong.is_none() && page.packed.len() < PAGE_BYTES {
            match event(cells) {
                Ok(event) => pack(&event, &mut page.packed),
                Err(error) => page.wrong = Some(error),
            }
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, page: Option<Page>) -> rusqlite::Result<Option<Value>> {
        Ok(page.map(|page| match page.wrong {
            None => Value::Blob(page.packed),
            Some(StoreError::Corrupt { what }) => Value::Text(what),
            Some(other) => Value::Text(other.to_string()),
        }))
    }
}

/// The event in these cells, each checked as every cell is that is read.
fn event<'cells>(cells: &'cells Context<'_>) -> Result<Passing<'cells>, StoreError> {
    let position = cell::number(number(cells, 0, "azoth_log.position")?, "azoth_log.position")?;
    let at = cell::instant(number(cells, 1, "azoth_log.at_ms")?, "azoth_log.at_ms")?;
    let subject = cell::number(number(cells, 2, "azoth_log.subject")?, "azoth_log.subject")?;
    let previous = if cells.get_raw(3) == ValueRef::Null { None } else { Some(previous(cells)?) };
    let kind = number(cells, 4, "azoth_log.kind")?;
    let kind = u8::try_from(kind).map_err(|_| cell::unlawful("azoth_log.kind", kind))?;
    let record = cells.get_raw(5);
    let ValueRef::Blob(record) = record else { return Err(of_a_wrong_type("azoth_log.record", record)) };
    Ok(Passing { stand: Stand { position, at, subject, previous }, kind, record })
}

fn number(cells: &Context<'_>, at: usize, what: &'static str) -> Result<i64, StoreError> {
    let cell = cells.get_raw(at);
    if let ValueRef::Integer(number) = cell { Ok(number) } else { Err(of_a_wrong_type(what, cell)) }
}

/// Where there is one: no event has the position 0, which stands for none.
fn previous(cells: &Context<'_>) -> Result<u64, StoreError> {
    let cell = number(cells, 3, "azoth_log.previous")?;
    let positive = u64::try_from(cell).ok().filter(|previous| *previous > 0);
    positive.ok_or_else(|| cell::unlawful("azoth_log.previous", cell))
}

#[cold]
fn of_a_wrong_type(what: &'static str, cell: ValueRef<'_>) -> StoreError {
    cell::corrupt(format!("{what} holds a value of the type {}", cell.data_type()))
}

/// What the function takes.
const CELLS: std::ffi::c_int = 6;
/// What is written before the record.
const HEADER_BYTES: usize = 5 * 8 + 1;
/// Most pages take no more.
const PAGE_BYTES_USUAL: usize = 32 * 1_024;
/// A page that has so many bytes takes no more events.
const PAGE_BYTES: usize = 128 * 1_024;

#[cfg(test)]
pub(super) mod tests {
    use rusqlite::params;

    use super::*;

    /// Some event, the first of its subject or the one behind the first.
    pub(in crate::sqlite) fn event(position: u64, subject: u64, record: &[u8]) -> Passing<'_> {
        let previous = (position != subject).then_some(subject);
        let at = Timestamp::from_unix_ms(-5).unwrap();
        Passing { stand: Stand { position, at, subject, previous }, kind: 3, record }
    }

    #[test]
    fn bytes_that_are_no_event_are_refused_and_nothing_is_read_behind_them() {
        let mut bytes = Vec::new();
        pack(&event(3, 3, b"record"), &mut bytes);
        for length in 1..bytes.len() {
            let mut events = Packed(&bytes[..length]);
            assert!(events.next().unwrap().is_err(), "{length} bytes");
            assert!(events.next().is_none(), "{length} bytes");
        }
        assert!(Packed(&bytes).all(|event| event.is_ok()));
    }

    /// What the function gives for events with these records.
    fn page(records: &[&[u8]]) -> Vec<(Stand, Vec<u8>)> {
        let conn = Connection::open_in_memory().unwrap();
        teach(&conn).unwrap();
        conn.execute_batch("CREATE TABLE log (position INTEGER PRIMARY KEY, record BLOB)").unwrap();
        for record in records {
            conn.execute("INSERT INTO log (record) VALUES (?1)", params![record]).unwrap();
        }
        let sql = "SELECT azoth_packed(position, -5, 1, nullif(1, position), 3, record) FROM log";
        let taken = |row: &Row<'_>| {
            let events = Packed::page(row).unwrap().map(Result::unwrap);
            Ok(events.map(|event| (event.stand, event.record.to_vec())).collect())
        };
        conn.query_row(sql, [], taken).unwrap()
    }

    #[test]
    fn page_holds_events_as_they_are_and_takes_no_more_once_it_is_full() {
        assert_eq!(page(&[]), []);
        let stands = |number| event(number, 1, b"").stand;
        assert_eq!(page(&[b"one", b""]), [(stands(1), b"one".to_vec()), (stands(2), vec![])]);
        let (long, short) = (vec![7; PAGE_BYTES], vec![9]);
        let full = page(&[&short, &long, &short]);
        assert_eq!(full, [(stands(1), short), (stands(2), long)]);
    }

    #[test]
    fn cell_that_is_never_written_is_named() {
        let conn = Connection::open_in_memory().unwrap();
        teach(&conn).unwrap();
        let wrong = |cells: &str| {
            let sql = format!("SELECT azoth_packed({cells})");
            conn.query_row(&sql, [], |row| Ok(Packed::page(row).err().map(|error| error.to_string())))
                .unwrap()
        };
        assert_eq!(wrong("1, 0, 1, NULL, 3, x'00'"), None);
        for (cells, told) in [
            ("-1, 0, 1, NULL, 3, x'00'", "azoth_log.position holds -1"),
            ("1, 9223372036854775807, 1, NULL, 3, x'00'", "azoth_log.at_ms holds 9223372036854775807"),
            ("2, 0, 1, -1, 3, x'00'", "azoth_log.previous holds -1"),
            ("2, 0, 1, 0, 3, x'00'", "azoth_log.previous holds 0"),
            ("1, 0, 1, NULL, 256, x'00'", "azoth_log.kind holds 256"),
            ("1, 0, 'one', NULL, 3, x'00'", "azoth_log.subject holds a value of the type Text"),
            ("1, 0, 1, NULL, 3, NULL", "azoth_log.record holds a value of the type Null"),
        ] {
            let found = wrong(cells).unwrap();
            assert!(found.contains(told), "{cells}: {found}");
        }
    }
}
