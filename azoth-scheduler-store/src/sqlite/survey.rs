//! A damaged log, looked over event by event: which stretches of it are whole, and what is wrong between them.
//!
//! An append is whole if each of its events can be read, decodes and has its payload, and if the chain proves them. The
//! chain goes on behind damage: the link of an append that cannot be read may be known from its own cell, and the next
//! append tells whether it was the right one. So a damaged append costs itself alone, and a damaged link costs nothing.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::payload::PayloadDigest;
use rusqlite::Connection;

use super::base::Base;
use super::chain;
use super::export::Part;
use super::fold::REPLAY_PAGE_EVENTS;
use super::hash::{GENESIS, Hash};
use super::head::Head;
use super::log::{self, LogRow, RawRow};
use super::log_row::LogEntry;
use crate::error::StoreError;

/// What of a log is whole, and what is not.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The database that it is the log of, where that could be read.
    pub(super) database: Option<[u8; 16]>,
    /// Unbroken and proven, in order.
    pub(super) stretches: Vec<Part>,
    /// What lies between them.
    pub(super) damage: Vec<Span>,
    /// What is wrong beside the events.
    pub(super) beside: Vec<String>,
    /// The last event that is there.
    pub(super) last: u64,
    /// Up to here payloads may have been dropped lawfully.
    pub(super) payloads_dropped: u64,
}

/// Events that are not part of a whole stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) through: u64,
    /// The first thing that is wrong with them.
    pub(super) what: String,
}

/// Looks a log over.
///
/// # Errors
/// What is no damage of the log.
pub(super) fn survey(conn: &Connection) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let head = survey.readable(Head::read(conn), "the head cannot be read, so nothing can be proven")?;
    let base = survey.readable(Base::read(conn), "where the log begins cannot be read")?;
    let entry =
        survey.readable(LogEntry::read(conn), "which payloads were dropped cannot be read, so none were")?;
    survey.payloads_dropped = entry.flatten().map_or(0, |entry| entry.state.payloads_dropped);
    survey.database = head.as_ref().map(|head| head.database);
    let begin = match &base {
        Some(base) => base.position,
        None => first(conn)?.saturating_sub(1),
    };
    let newest = around(newest(conn))?.ok().flatten();
    let known = head.as_ref().map(|head| head.position);
    let end = known.max(newest).unwrap_or(u64::MAX);
    let before = base.map(|base| base.hash).or((begin == 0).then_some(GENESIS));
    let mut walk = Walk {
        survey,
        closed: begin,
        before: before.into_iter().collect(),
        append: Append::default(),
        doubtful: None,
    };
    walk.survey.last = begin;
    walk.along(conn, end)?;
    Ok(walk.end(head.as_ref()))
}

impl Survey {
    /// Notes what cannot be read, and goes on without it.
    fn readable<T>(&mut self, read: Result<T, StoreError>, what: &str) -> Result<Option<T>, StoreError> {
        Ok(match around(read)? {
            Ok(read) => Some(read),
            Err(why) => {
                self.beside.push(format!("{what}: {why}"));
                None
            }
        })
    }

    /// These events are whole; the chain stands at `before` in front of them and at `link` behind them.
    fn keep(&mut self, append: &Closed, before: Hash, link: Hash) {
        let goes_on = |part: &Part| (part.through, part.through_hash) == (append.from - 1, before);
        if !self.stretches.last().is_some_and(goes_on) {
            if self.stretches.len() >= STRETCHES_MAX {
                return self.lose(append.from, append.through, "the log is in too many pieces".to_owned());
            }
            let (after, mended) = (append.from - 1, Vec::new());
            self.stretches.push(Part {
                after,
                after_hash: before,
                through: after,
                through_hash: before,
                mended,
            });
        }
        let Some(part) = self.stretches.last_mut() else { return };
        (part.through, part.through_hash) = (append.through, link);
        if append.link != link {
            part.mended.push((append.through, link));
        }
    }

    /// These events are not.
    fn lose(&mut self, from: u64, through: u64, what: String) {
        match self.damage.last_mut() {
            Some(span) if span.through + 1 == from => span.through = through,
            Some(_) | None => self.damage.push(Span { from, through, what }),
        }
    }
}

/// The events of an append that have come so far.
#[derive(Default)]
struct Append {
    rows: Vec<LogRow>,
    /// The first thing that is wrong with it.
    wrong: Option<String>,
    /// Not all of its rows are there, so the chain says nothing of it.
    broken: bool,
}

/// An append that has a link, whichever.
#[derive(Clone, Copy)]
struct Closed {
    from: u64,
    through: u64,
    link: Hash,
}

/// An append that does not match its own link: either it was changed or its link was. The next one tells.
struct Doubtful {
    append: Closed,
    before: Hash,
    computed: Hash,
}

struct Walk {
    survey: Survey,
    /// The last event of the last append.
    closed: u64,
    /// Where the chain may stand there; nowhere if nobody knows.
    before: Vec<Hash>,
    append: Append,
    doubtful: Option<Doubtful>,
}

impl Walk {
    fn along(&mut self, conn: &Connection, end: u64) -> Result<(), StoreError> {
        let mut rows = Rows::new(conn);
        let mut position = self.closed;
        let mut misses: Option<(u64, String)> = None;
        while position < end {
            position += 1;
            let row = match rows.at(position)? {
                Ok(row) => row,
                Err(why) => {
                    if misses.is_none() && is_last(conn, position)? {
                        break;
                    }
                    let (from, _) = misses.get_or_insert((position, why));
                    if position - *from >= MISSES_MAX {
                        break;
                    }
                    continue;
                }
            };
            if let Some((_, why)) = misses.take() {
                self.append.broken = true;
                self.append.wrong.get_or_insert(why);
            }
            self.survey.last = position;
            let read = read(conn, &row, self.survey.payloads_dropped)?;
            if let Err(why) = read.and_then(|content| content.payload) {
                self.append.wrong.get_or_insert(why);
            }
            let link = row.link;
            self.append.rows.push(row);
            if let Some(link) = link {
                self.close(Closed { from: self.closed + 1, through: position, link });
            }
        }
        Ok(())
    }

    /// An append is there, as far as it is.
    fn close(&mut self, closed: Closed) {
        let append = std::mem::take(&mut self.append);
        self.closed = closed.through;
        let database = self.survey.database.filter(|_| !append.broken);
        let computed = |before: &Hash| Some(chain::link(before, &database?, &append.rows));
        let proven = self.before.iter().find(|before| computed(before) == Some(closed.link)).copied();
        let doubted = self.doubtful.is_some();
        self.decide(proven);
        let trusted = self.before.first().filter(|_| !doubted).copied();
        let other = trusted.and_then(|before| Some((before, computed(&before)?)));
        self.before = vec![closed.link];
        match (append.wrong, proven, other) {
            (Some(what), ..) => self.survey.lose(closed.from, closed.through, what),
            (None, Some(before), _) => self.survey.keep(&closed, before, closed.link),
            (None, None, Some((before, computed))) => {
                self.before.push(computed);
                self.doubtful = Some(Doubtful { append: closed, before, computed });
            }
            (None, None, None) => {
                let what = format!("nothing proves what event {} and those with it hold", closed.from);
                self.survey.lose(closed.from, closed.through, what);
            }
        }
    }

    /// The append before is whole if the chain goes on where it leads, and not where its link says.
    fn decide(&mut self, proven: Option<Hash>) {
        let Some(Doubtful { append, before, computed }) = self.doubtful.take() else { return };
        if proven == Some(computed) {
            return self.survey.keep(&append, before, computed);
        }
        let what =
            format!("event {} or one appended with it was changed: the chain does not match", append.from);
        self.survey.lose(append.from, append.through, what);
    }

    fn end(mut self, head: Option<&Head>) -> Survey {
        let of_the_newest = head.filter(|head| head.position == self.closed).map(|head| head.hash);
        self.decide(of_the_newest);
        let last = self.survey.last;
        if last > self.closed {
            let what = self.append.wrong.unwrap_or_else(|| "the end of its append is missing".to_owned());
            self.survey.lose(self.closed + 1, last, what);
        }
        if let Some(head) = head.filter(|head| head.position > last) {
            self.survey.lose(last + 1, head.position, format!("event {} is missing", last + 1));
        }
        self.survey
    }
}

/// What a row holds.
pub(super) struct Content {
    pub(super) event: Event,
    /// Its bytes; or why they are not there, though they should be.
    pub(super) payload: Result<Option<Vec<u8>>, String>,
}

/// What a row holds, or why that cannot be read.
pub(super) fn read(
    conn: &Connection,
    row: &LogRow,
    dropped: u64,
) -> Result<Result<Content, String>, StoreError> {
    let event = match around(row.event())? {
        Ok(event) => event,
        Err(why) => return Ok(Err(why)),
    };
    let digest = event.payload().filter(|digest| digest.bytes > 0);
    let position = row.position;
    let payload = match (digest, around(log::payload(conn, position))?) {
        (_, Err(why)) => Err(format!("the payload of event {position} cannot be read: {why}")),
        (Some(digest), Ok(Some(bytes))) if PayloadDigest::of(&bytes) == digest => Ok(Some(bytes)),
        (Some(_), Ok(None)) if position > dropped && !was_dropped(conn, position)? => {
            Err(format!("the payload of event {position} is missing"))
        }
        (_, Ok(None)) => Ok(None),
        (_, Ok(Some(_))) => Err(format!("the payload of event {position} was changed")),
    };
    Ok(Ok(Content { event, payload }))
}

/// Whether the payload of this event, which is gone, was dropped since the survey began. That is written down before it goes.
fn was_dropped(conn: &Connection, position: u64) -> Result<bool, StoreError> {
    let entry = around(LogEntry::read(conn))?.ok().flatten();
    Ok(entry.is_some_and(|entry| position <= entry.state.payloads_dropped))
}

/// The rows of a log one after the other, whatever is wrong with some of them.
pub(super) struct Rows<'a> {
    conn: &'a Connection,
    /// Read ahead, the next one last.
    page: Vec<RawRow>,
    /// No page is read up to here, since one that was has failed.
    single_until: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(conn: &'a Connection) -> Self {
        Self { conn, page: Vec::new(), single_until: 0 }
    }

    /// The row at this position, or why it cannot be read.
    pub(super) fn at(&mut self, position: u64) -> Result<Result<LogRow, String>, StoreError> {
        let of = |row: &RawRow| u64::try_from(row.position()).unwrap_or_default();
        while self.page.pop_if(|row| of(row) < position).is_some() {}
        if self.page.is_empty() && position > self.single_until {
            match around(log::raw_page(self.conn, position - 1, REPLAY_PAGE_EVENTS))? {
                Ok(page) => self.page.extend(page.into_iter().rev()),
                Err(_) => self.single_until = position.saturating_add(REPLAY_PAGE_EVENTS as u64),
            }
        }
        let row = match self.page.pop_if(|row| of(row) == position) {
            Some(row) => row.check().map(Some),
            None => log::own_row_at(self.conn, position),
        };
        Ok(around(row)?
            .map_err(|why| format!("event {position} cannot be read: {why}"))
            .and_then(|row| row.ok_or_else(|| format!("event {position} is missing"))))
    }
}

/// What was read, or how it is damaged.
///
/// # Errors
/// What has to do with neither the file nor the disk.
pub(super) fn around<T>(read: Result<T, StoreError>) -> Result<Result<T, String>, StoreError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(StoreError::Corrupt { what }) => Ok(Err(what)),
        Err(
            damage @ (StoreError::Io { .. } | StoreError::Engine { .. } | StoreError::Undecodable { .. }),
        ) => Ok(Err(damage.to_string())),
        Err(other) => Err(other),
    }
}

/// The first event that is there.
fn first(conn: &Connection) -> Result<u64, StoreError> {
    let page = around(log::raw_page(conn, 0, 1))?;
    let position = page.ok().and_then(|page| page.first().map(RawRow::position));
    Ok(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(1))
}

/// Whether it is certain that nothing is behind this event.
fn is_last(conn: &Connection, position: u64) -> Result<bool, StoreError> {
    Ok(around(log::raw_page(conn, position, 1))?.is_ok_and(|page| page.is_empty()))
}

fn newest(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let newest: Option<i64> = conn.query_row("SELECT max(position) FROM azoth_log", [], |row| row.get(0))?;
    Ok(newest.and_then(|newest| u64::try_from(newest).ok()))
}

/// A log in more pieces is not followed further.
const STRETCHES_MAX: usize = 1_000;
/// Where so many events in a row cannot be read, nothing is looked for behind them.
const MISSES_MAX: u64 = 100_000;
