//! The events of a log in memory, to be decoded and folded without the engine: what a benchmark times of a rebuild.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::Connection;

use super::base::Base;
use super::cell;
use super::fold::Fold;
use super::handle::SqliteStore;
use super::head::Head;
use super::packed::{Packed, pack};
use super::readers::{self, in_snapshot};
use super::replay;
use super::{log, schema};
use crate::codec::Decoder;
use crate::error::StoreError;

/// All events of a log, as a rebuild puts those aside that have to wait: by parts of neighbouring tasks, so many as it folds
/// at once. For benchmarks of this library.
#[doc(hidden)]
#[derive(Debug)]
pub struct Excerpt {
    parts: BTreeMap<u64, Vec<u8>>,
    fold: Fold,
    decoder: Decoder,
    tables: Connection,
}

impl Excerpt {
    /// Reads the log of a store.
    ///
    /// # Errors
    /// What reading it says, and [`StoreError::Corrupt`] for a log that was cut: what it begins with is not in it.
    pub fn read(store: &SqliteStore) -> Result<Self, StoreError> {
        let place = &store.shared.place;
        let width = place.options.tasks_folded_at_once() as u64;
        let mut parts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        in_snapshot(&readers::connect(place)?, |conn| {
            if Base::read(conn)?.position > 0 {
                return Err(cell::corrupt("the log was cut"));
            }
            log::pass(conn, 0, Head::read(conn)?.position, |event| {
                pack(&event, parts.entry(event.stand.subject / width).or_default());
                Ok(ControlFlow::Continue(()))
            })
        })?;
        let tables = Connection::open_in_memory()?;
        schema::create_for_folding(&tables)?;
        Ok(Self { parts, fold: Fold::start(&tables)?, decoder: Decoder::new(), tables })
    }

    /// Decodes and folds all of it, part by part, as a rebuild does; writes nothing. How many events there were, and how many
    /// tasks.
    ///
    /// # Errors
    /// As a rebuild, and [`StoreError::Corrupt`] where a rate is in force: starts that count against it are folded in their
    /// order.
    pub fn fold(&mut self) -> Result<(u64, u64), StoreError> {
        let Self { parts, fold, decoder, tables } = self;
        let (mut events, mut tasks) = (0, 0);
        for part in parts.values() {
            for event in Packed(part) {
                replay::add(fold, decoder, tables, event?)?;
                events += 1;
            }
            tasks += fold.unwritten().len() as u64;
            fold.abandon_tasks();
        }
        if !fold.takes_any_order() {
            return Err(cell::corrupt("a rate is in force"));
        }
        Ok((events, tasks))
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use azoth_scheduler_core::command::{Command, OnConflict, ScopeCommand, ScopeWish};
    use azoth_scheduler_core::schedule::Schedule;
    use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
    use azoth_scheduler_core::testing::{actor, at, claim, complete, schedule, succeeded};

    use super::*;
    use crate::sqlite::SqliteOptions;
    use crate::{Batch, Store};

    async fn say(store: &SqliteStore, commands: Vec<Command>) {
        for answer in store.apply(Batch::new(commands, at(0))).await.unwrap().answers {
            answer.unwrap();
        }
    }

    #[tokio::test]
    async fn all_events_are_folded_each_time_and_a_rate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = SqliteOptions::new().allow_old_sqlite(true);
        options.tasks_folded_at_once = 3;
        let store = SqliteStore::open_with(folder.path().join("scheduler.db"), options).unwrap();
        let names: Vec<String> = (0..10).map(|number| format!("task-{number}")).collect();
        let new = |name: &String| schedule(name, Schedule::immediate(), OnConflict::Redefine).into();
        say(&store, names.iter().map(new).collect()).await;
        let start = |(number, name): (u128, &String)| claim(name, number).into();
        say(&store, (0..).zip(&names).map(start).collect()).await;
        let end = |(number, name): (u128, &String)| complete(name, number, succeeded(), at(0)).into();
        say(&store, (0..).zip(&names).map(end).collect()).await;
        let events = store.head().await.unwrap().number();
        let mut excerpt = Excerpt::read(&store).unwrap();
        for _ in 0..2 {
            assert_eq!(excerpt.fold().unwrap(), (events, 10));
        }

        let (one, hour) = (NonZeroU32::MIN, NonZeroU64::new(3_600_000).unwrap());
        let change = LimitsChange::Set(Limits { rate: Rate::new(one, hour, one), ..Limits::default() });
        let wish = ScopeWish::ChangeLimits { change, by: actor("ops") };
        say(&store, vec![ScopeCommand { scope: Scope::Everything, wish }.into()]).await;
        let refused = Excerpt::read(&store).unwrap().fold();
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    }
}
