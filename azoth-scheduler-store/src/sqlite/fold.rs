//! Folding the log into derived tables: what a rebuild writes and a verification compares.
//!
//! Of the tasks those are in memory that had an event not long ago, where the log is folded in its order at most twice
//! [`TASKS_YOUNG`]; the others are in the tables. A row is written when its task has had no event for a while, so a task that came
//! and ended within that is written once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::OutOfOrder;
use azoth_scheduler_core::id::{TaskId, TaskType};
use azoth_scheduler_core::scope::{Scope, ScopeState};

use super::entry::{Entry, Place};
use super::log_row::{self, LogEntry};
use super::new_rows::NewRows;
use super::passing::Stand;
use super::row_writer::{RowWriter, Updates};
use super::scope_row::{self, ScopeEntry};
use super::scopes::Scopes;
use super::slots::{Slot, Slots, TaskRow};
use super::tables::Tables;
use super::task_row::{self, Cells};
use super::{type_row, wait_row};
use crate::error::StoreError;

/// So many events are read at once.
pub(super) const REPLAY_PAGE_EVENTS: usize = 1_000;

/// What the events so far add up to: partly in derived tables, the rest here.
#[derive(Debug)]
pub(super) struct Fold {
    /// Tasks with an event since all was written.
    young: Slots,
    /// Tasks with an event between then and the time before it; their rows are written.
    old: Slots,
    /// Events since all was written.
    events: usize,
    updates: Updates,
    types: HashMap<TaskType, u64>,
    /// The one that was looked up last.
    last_type: Option<(TaskType, u64)>,
    /// Types that have no row yet.
    new_types: Vec<(u64, TaskType)>,
    /// Names of tasks that have no row yet, where names are looked at.
    created: HashSet<TaskId>,
    scopes: Scopes,
    /// Those with a rate, against which starts count.
    rated: HashSet<Scope>,
}

/// A task before and after an event; `None` for the event of another subject.
pub(super) type Folded<'a> = Option<(Option<Box<Entry>>, &'a Entry)>;

/// Why an event was left out.
#[derive(Debug)]
pub(super) enum Unfoldable {
    /// It cannot stand where it stands.
    Wrong(String),
    /// It, or what it builds on, could not be read or written.
    Failed(StoreError),
}

impl From<StoreError> for Unfoldable {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Corrupt { .. } | StoreError::Undecodable { .. }) {
            return Unfoldable::Wrong(error.to_string());
        }
        Unfoldable::Failed(error)
    }
}

impl From<OutOfOrder> for Unfoldable {
    fn from(error: OutOfOrder) -> Self {
        Unfoldable::Wrong(error.to_string())
    }
}

impl Fold {
    /// Goes on from what these tables hold.
    pub(super) fn start(tables: &dyn Tables) -> Result<Self, StoreError> {
        let mut fold = Self {
            young: Slots::default(),
            old: Slots::default(),
            events: 0,
            updates: Updates::default(),
            types: HashMap::new(),
            last_type: None,
            new_types: Vec::new(),
            created: HashSet::new(),
            scopes: Scopes::default(),
            rated: HashSet::new(),
        };
        for cells in scope_row::all(tables)? {
            fold.note_rate(&cells.entry()?);
        }
        Ok(fold)
    }

    /// Folds one more event. Writes only for an [event of the log](Event::is_of_the_log). That no two tasks have the same
    /// name is seen when they are written.
    pub(super) fn add(&mut self, tables: &dyn Tables, stand: Stand, event: Event) -> Result<(), Unfoldable> {
        self.fold(tables, stand, Cow::Owned(event), false).map(drop)
    }

    /// As [`add`](Self::add), and gives back its task, if it is of one, as it was before and as it is now. One that is
    /// refused is left out.
    pub(super) fn add_and_tell(
        &mut self,
        tables: &dyn Tables,
        stand: Stand,
        event: &Event,
    ) -> Result<Folded<'_>, Unfoldable> {
        self.fold(tables, stand, Cow::Borrowed(event), true)
    }

    fn fold(
        &mut self,
        tables: &dyn Tables,
        stand: Stand,
        event: Cow<'_, Event>,
        tells: bool,
    ) -> Result<Folded<'_>, Unfoldable> {
        self.events += 1;
        if let Some(scope) = event.scope() {
            return self.add_to_scope(tables, scope, stand, &event).map(|()| None);
        }
        if event.is_of_the_log() {
            return self.add_to_the_log(tables, stand, &event).map(|()| None);
        }
        let Stand { position, at, subject, previous } = stand;
        let type_key = if let Event::TaskScheduled { definition, .. } = &*event {
            self.type_key(tables, &definition.task_type, position)?
        } else {
            0
        };
        let place = Place { position, at, type_key };
        let found = match self.young.place_of(subject) {
            Some(found) => found,
            None => match remembered(&mut self.old, tables, stand)? {
                Some(slot) => {
                    self.scopes.touch(&slot.entry.state.definition);
                    self.young.put(slot)
                }
                None => return self.begin(tables, stand, event.into_owned(), place, tells),
            },
        };
        let Some(slot) = self.young.at(found) else { return Ok(None) };
        follows(previous, Some(slot.entry.last))?;
        let before = tells.then(|| Box::new(slot.entry.clone()));
        slot.note();
        slot.entry.apply(&event, place)?;
        slot.waits |= !slot.entry.state.waits_for.is_empty();
        if let Event::TaskScheduled { definition, .. } = &*event {
            // The line that it has left was looked up when it came.
            self.scopes.touch(definition);
        }
        if let Event::ExecutionStarted { .. } = &*event
            && !self.rated.is_empty()
        {
            self.scopes.spend(tables, &slot.entry.state.definition, at)?;
        }
        Ok(Some((before, &slot.entry)))
    }

    /// Folds the first event of a task.
    fn begin(
        &mut self,
        tables: &dyn Tables,
        stand: Stand,
        event: Event,
        place: Place,
        tells: bool,
    ) -> Result<Folded<'_>, Unfoldable> {
        follows(stand.previous, None)?;
        let slot = Slot::new(Entry::first(event, place)?, TaskRow::Missing);
        if slot.entry.key != stand.subject {
            let what = format!("it creates task {} under the key of another", slot.entry.key);
            return Err(Unfoldable::Wrong(what));
        }
        if tells {
            name(&mut self.created, tables, &slot.entry)?;
        }
        self.scopes.touch(&slot.entry.state.definition);
        let place = self.young.put(slot);
        Ok(self.young.at(place).map(|slot| (None, &slot.entry)))
    }

    fn add_to_scope(
        &mut self,
        tables: &dyn Tables,
        scope: &Scope,
        stand: Stand,
        event: &Event,
    ) -> Result<(), Unfoldable> {
        let before = self.scopes.get(tables, scope)?.cloned();
        let place = before.as_ref().map(|entry| (entry.key, Some(entry.last)));
        if place.unwrap_or((stand.position, None)) != (stand.subject, stand.previous) {
            return Err(Unfoldable::Wrong(format!("it does not follow the event before it of {scope}")));
        }
        let entry = ScopeEntry::after(before, event, stand.position, stand.at)?;
        self.note_rate(&entry);
        self.scopes.put(entry);
        Ok(())
    }

    fn note_rate(&mut self, entry: &ScopeEntry) {
        let ScopeState { scope, .. } = &entry.state;
        if entry.state.limits().rate.is_some() {
            self.rated.insert(scope.clone());
        } else {
            self.rated.remove(scope);
        }
    }

    fn add_to_the_log(&mut self, tables: &dyn Tables, stand: Stand, event: &Event) -> Result<(), Unfoldable> {
        self.flush(tables)?;
        let before = LogEntry::read(tables)?;
        let entry = LogEntry::after(before, event, stand.position)?;
        if (stand.subject, stand.previous) != (entry.key, before.map(|before| before.last)) {
            let what = "it does not follow the event of the log before it".to_owned();
            return Err(Unfoldable::Wrong(what));
        }
        if let Event::TasksForgotten { horizon, tasks } = event {
            log_row::forget(tables, *horizon, tasks)?.map_err(Unfoldable::Wrong)?;
            let left: HashSet<_> = tasks.iter().collect();
            for slots in [&mut self.young, &mut self.old] {
                slots.retain(|slot| !left.contains(&slot.entry.state.id));
            }
        }
        Ok(entry.write(tables)?)
    }

    /// Whether a task's events may be folded apart from those of others. They may not where starts count against a rate.
    pub(super) fn takes_any_order(&self) -> bool {
        self.rated.is_empty()
    }

    /// Whether a task is in memory, or may come to be where there is room for so many.
    pub(super) fn has_room(&self, key: u64, room: usize) -> bool {
        self.young.len() < room || self.young.holds(key)
    }

    /// An event that is put aside names this type: the first one to do so gives it its key.
    pub(super) fn names_type(
        &mut self,
        tables: &dyn Tables,
        name: &str,
        position: u64,
    ) -> Result<(), StoreError> {
        if !self.types.contains_key(name) {
            self.type_key(tables, &type_row::parse(name)?, position)?;
        }
        Ok(())
    }

    /// Forgets all tasks, once they are written.
    pub(super) fn forget_tasks(&mut self) {
        debug_assert_eq!(self.young.len(), 0, "what is forgotten is written");
        self.old.clear();
    }

    /// Forgets all tasks, written or not.
    pub(super) fn abandon_tasks(&mut self) {
        self.young.clear();
        self.old.clear();
        self.events = 0;
    }

    /// Whether it is time to write, so that it is worth it and memory does not grow.
    pub(super) fn is_full(&self) -> bool {
        self.young.len() >= TASKS_YOUNG || self.events >= EVENTS_UNWRITTEN
    }

    /// Writes all that is not written yet.
    pub(super) fn flush(&mut self, tables: &dyn Tables) -> Result<(), StoreError> {
        let places = self.unwritten();
        self.write(tables, &places)?;
        while self.settle(tables, usize::MAX)? {}
        Ok(())
    }

    /// The places of tasks whose rows are not written yet, in the order of their keys.
    pub(super) fn unwritten(&self) -> Vec<usize> {
        self.young.sorted(|slot| !matches!(slot.row, TaskRow::Same))
    }

    /// Writes the rows of the tasks in these places.
    pub(super) fn write(&mut self, tables: &dyn Tables, places: &[usize]) -> Result<(), StoreError> {
        let mut rows = RowWriter::new(tables, &mut self.updates);
        let mut new_rows = NewRows::new(tables);
        for place in places {
            let Some(slot) = self.young.at(*place) else { continue };
            match std::mem::replace(&mut slot.row, TaskRow::Same) {
                TaskRow::Same => continue,
                TaskRow::Missing => new_rows.put(Cells::of(&slot.entry))?,
                TaskRow::Behind(before) => rows.write(Some(&before), Cells::of(&slot.entry))?,
            }
            if std::mem::take(&mut slot.waits) {
                wait_row::write(tables, &slot.entry)?;
            }
        }
        new_rows.finish(&mut rows)
    }

    /// Writes what else there is once the rows of the tasks are written, and settles at most so many lines; says whether
    /// there are more. Forgets who had no event since the last time.
    pub(super) fn settle(&mut self, tables: &dyn Tables, lines: usize) -> Result<bool, StoreError> {
        for (key, name) in self.new_types.drain(..) {
            type_row::add(tables, key, name.as_str())?;
        }
        if self.scopes.flush_some(tables, lines)? {
            return Ok(true);
        }
        self.scopes.trim();
        self.created.clear();
        std::mem::swap(&mut self.old, &mut self.young);
        self.young.clear();
        self.events = 0;
        if self.types.len() > TYPES_MAX {
            self.types.clear();
        }
        Ok(false)
    }

    fn type_key(&mut self, tables: &dyn Tables, name: &TaskType, position: u64) -> Result<u64, StoreError> {
        if let Some((last, key)) = &self.last_type
            && last == name
        {
            return Ok(*key);
        }
        if let Some(key) = self.types.get(name) {
            self.last_type = Some((name.clone(), *key));
            return Ok(*key);
        }
        let key = match type_row::key_of(tables, name)? {
            Some(key) => key,
            None => {
                self.new_types.push((position, name.clone()));
                position
            }
        };
        self.types.insert(name.clone(), key);
        Ok(key)
    }
}

/// A task that has had no event since all was written, if there is such a one.
fn remembered(
    old: &mut Slots,
    tables: &dyn Tables,
    Stand { position, subject: key, .. }: Stand,
) -> Result<Option<Slot>, StoreError> {
    // What this event creates is nowhere yet.
    if key == position {
        return Ok(None);
    }
    if let Some(slot) = old.take(key) {
        return Ok(Some(slot));
    }
    let entry = task_row::by_key(tables, key)?;
    Ok(entry.map(|entry| Slot::new(entry, TaskRow::Same)))
}

fn follows(previous: Option<u64>, last: Option<u64>) -> Result<(), Unfoldable> {
    if previous == last {
        return Ok(());
    }
    Err(Unfoldable::Wrong(format!(
        "it follows event {} of its task, and the one before it is {}",
        previous.unwrap_or(0),
        last.unwrap_or(0)
    )))
}

/// Notes the name of a new task, which no other may have.
fn name(created: &mut HashSet<TaskId>, tables: &dyn Tables, entry: &Entry) -> Result<(), Unfoldable> {
    let id = &entry.state.id;
    if created.contains(id) || task_row::place_of(tables, id)?.is_some() {
        return Err(Unfoldable::Wrong(format!("it creates task {id:?} a second time")));
    }
    created.insert(id.clone());
    Ok(())
}

/// After events of so many tasks their rows are written, where events are folded in their order.
const TASKS_YOUNG: usize = 8_192;
/// After so many events too.
const EVENTS_UNWRITTEN: usize = 65_536;
/// A fold remembers at most so many types from one flush to the next.
const TYPES_MAX: usize = 1_024;
