//! Folding a part of the log, event by event or with some put aside.

use std::ops::ControlFlow;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::scope::LimitsChange;

use super::aside::{Aside, Part};
use super::cell;
use super::fold::{Fold, Unfoldable};
use super::log;
use super::passing::Passing;
use super::tables::Tables;
use crate::codec::{self, Decoder, EventKind, Subject};
use crate::error::StoreError;
use crate::record::LogPosition;

/// How far the log is folded.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) fold: Fold,
    decoder: Decoder,
    /// The last event that was folded, or put aside.
    position: u64,
}

/// Why a replay stopped before it was where it was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It did not.
    There,
    /// What is in memory has to be written first, or what was put aside folded.
    Write,
}

enum Choice {
    Fold,
    PutAside,
    Stop,
}

impl Replay {
    /// Behind this event, up to which the tables are filled.
    pub(super) fn behind(position: u64, tables: &dyn Tables) -> Result<Self, StoreError> {
        Ok(Self { fold: Fold::start(tables)?, decoder: Decoder::new(), position })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Folds the next events up to here. What they add up to is yet to be [flushed](Fold::flush). Inside a transaction.
    pub(super) fn advance(&mut self, tables: &dyn Tables, through: u64) -> Result<(), StoreError> {
        self.pass(tables, through, |_, _| Ok(Choice::Fold)).map(drop)
    }

    /// Folds the next events up to here, until there is enough to be written, and up to before an event of the log itself, for
    /// which [`advance`](Self::advance) writes. In a snapshot.
    pub(super) fn read_in_order(&mut self, tables: &dyn Tables, through: u64) -> Result<Stop, StoreError> {
        self.pass(tables, through, |fold, event| {
            let stops = fold.is_full() || fold.takes_any_order() || subject(&event) == Subject::Log;
            Ok(if stops { Choice::Stop } else { Choice::Fold })
        })
    }

    /// The same, but events of tasks for which there is no room, if it is for so many, are put aside. It goes on like this while
    /// events may be folded in any order.
    pub(super) fn read_apart(
        &mut self,
        tables: &dyn Tables,
        through: u64,
        room: usize,
        aside: &mut Aside,
    ) -> Result<Stop, StoreError> {
        self.pass(tables, through, |fold, event| {
            Ok(match subject(&event) {
                _ if !fold.takes_any_order() => Choice::Stop,
                Subject::Log => Choice::Stop,
                // The starts that were put aside do not count against it.
                Subject::Scope if aside.events() > 0 && sets_rate(&event.event()?) => Choice::Stop,
                Subject::Scope => Choice::Fold,
                Subject::Task if fold.has_room(event.stand.subject, room) => Choice::Fold,
                Subject::Task => {
                    let position = event.stand.position;
                    let named = codec::type_named(event.kind, event.record)
                        .map_err(|error| error.reading(LogPosition::from_number(position), event.kind))?;
                    if let Some(name) = named {
                        fold.names_type(tables, name, position)?;
                    }
                    aside.put(&event)?;
                    Choice::PutAside
                }
            })
        })
    }

    /// Folds a part of what was put aside. In a snapshot.
    pub(super) fn fold_part(
        &mut self,
        tables: &dyn Tables,
        aside: &mut Aside,
        part: Part,
    ) -> Result<(), StoreError> {
        aside.each(part, |event| add(&mut self.fold, &mut self.decoder, tables, event))
    }

    fn pass(
        &mut self,
        tables: &dyn Tables,
        through: u64,
        mut choose: impl FnMut(&mut Fold, Passing<'_>) -> Result<Choice, StoreError>,
    ) -> Result<Stop, StoreError> {
        let mut stop = Stop::There;
        log::pass(tables.conn(), self.position, through, |event| {
            let expected = self.position.saturating_add(1);
            if event.stand.position != expected {
                return Err(cell::corrupt(format!(
                    "event {}: event {expected} is missing before it",
                    event.stand.position
                )));
            }
            match choose(&mut self.fold, event)? {
                Choice::Fold => add(&mut self.fold, &mut self.decoder, tables, event)?,
                Choice::PutAside => {}
                Choice::Stop => {
                    stop = Stop::Write;
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.position = expected;
            Ok(ControlFlow::Continue(()))
        })?;
        if self.position < through && stop == Stop::There {
            return Err(cell::corrupt(format!("event {} is missing", self.position.saturating_add(1))));
        }
        Ok(stop)
    }
}

/// Decodes an event and folds it.
#[inline]
pub(super) fn add(
    fold: &mut Fold,
    decoder: &mut Decoder,
    tables: &dyn Tables,
    event: Passing<'_>,
) -> Result<(), StoreError> {
    let decoded = event.event_by(decoder)?;
    fold.add(tables, event.stand, decoded).map_err(|unfoldable| refused(event.stand.position, unfoldable))
}

#[cold]
fn refused(position: u64, unfoldable: Unfoldable) -> StoreError {
    match unfoldable {
        Unfoldable::Wrong(what) => cell::corrupt(format!("event {position}: {what}")),
        Unfoldable::Failed(error) => error,
    }
}

/// Whether an event may bring a rate into force.
fn sets_rate(event: &Event) -> bool {
    let Event::LimitsChanged { change, .. } = event else { return false };
    match change {
        LimitsChange::Declared(limits) | LimitsChange::Set(limits) => limits.rate.is_some(),
        // Those that were declared hold again.
        LimitsChange::Cleared => true,
    }
}

fn subject(event: &Passing<'_>) -> Subject {
    // What this version does not know is refused where it is decoded.
    EventKind::from_code(event.kind).map_or(Subject::Task, EventKind::subject)
}
