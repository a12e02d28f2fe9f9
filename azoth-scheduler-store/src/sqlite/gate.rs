//! What a claim is held back by: the limits and pauses of the task types that are offered, and of everything.
//!
//! A gate that is shut keeps a claim from looking at any task behind it. Concurrency keys need none: a task that their
//! limits, rates and pauses hold back does not stand in the due index.

use std::collections::BTreeMap;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish, TaskCommand, Wish};
use azoth_scheduler_core::id::{TaskId, TaskType};
use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::{Gate, Scope};
use azoth_scheduler_core::state::TaskPhase;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::cell;
use super::group::Group;
use super::outlook::Outlook;
use super::scope_row;
use crate::error::StoreError;

/// One range of `azoth_p_running`, as far as the limit.
pub(super) const RUNNING_OF_TYPE: &str = "SELECT count(*) FROM (SELECT 1 FROM azoth_p_tasks
    INDEXED BY azoth_p_running WHERE phase = 1 AND type = ?1 LIMIT ?2)";
/// Along `azoth_p_running`, as far as the limit.
pub(super) const RUNNING: &str = "SELECT count(*) FROM (SELECT 1 FROM azoth_p_tasks
    INDEXED BY azoth_p_running WHERE phase = 1 LIMIT ?1)";
/// One range of `azoth_p_task_pauses`.
pub(super) const PAUSES_OVER: &str = "SELECT id FROM azoth_p_tasks INDEXED BY azoth_p_task_pauses
    WHERE paused_until_ms <= ?1 ORDER BY paused_until_ms, key LIMIT ?2";
/// The first entries of `azoth_p_task_pauses` and `azoth_p_scope_pauses`.
pub(super) const NEXT_PAUSE_END: &str = "SELECT min(until) FROM (
    SELECT min(paused_until_ms) AS until FROM azoth_p_tasks INDEXED BY azoth_p_task_pauses WHERE paused_until_ms IS NOT NULL
    UNION ALL
    SELECT min(paused_until_ms) FROM azoth_p_scopes INDEXED BY azoth_p_scope_pauses WHERE paused_until_ms IS NOT NULL)";

/// What holds back the types of an offer.
pub(super) struct Gates {
    everything: Held,
    types: BTreeMap<u64, (TaskType, Held)>,
    ahead: bool,
}

/// What holds back the tasks of a scope.
#[derive(Clone, Copy, Debug)]
struct Held {
    gate: Gate,
    /// A claim may shut it.
    limited: bool,
}

impl Gates {
    /// The gates of these types; those that no task ever had are left out.
    pub(super) fn of(group: &mut Group<'_>, names: &[TaskType], now: Timestamp) -> Result<Self, StoreError> {
        let everything = held(group, &Scope::Everything, None, now)?;
        let mut types = BTreeMap::new();
        for name in names {
            let conn = group.conn();
            if let Some(key) = group.memory().type_key(conn, name)? {
                let held = held(group, &Scope::TaskType(name.clone()), Some(key), now)?;
                types.insert(key, (name.clone(), held));
            }
        }
        Ok(Self { everything, types, ahead: false })
    }

    /// The types of the offer, and their keys.
    pub(super) fn types(&self) -> impl Iterator<Item = (u64, &TaskType)> {
        self.types.iter().map(|(key, (name, _))| (*key, name))
    }

    /// The types that nothing holds back.
    pub(super) fn open(&self) -> impl Iterator<Item = u64> {
        self.types.keys().copied().filter(|key| self.is_open(*key))
    }

    /// From here on it is claimed ahead, which a type with limits is not: what waits for a slot would use them up.
    pub(super) fn look_ahead(&mut self, ahead: bool) {
        self.ahead = ahead;
    }

    pub(super) fn is_open(&self, type_key: u64) -> bool {
        let held = self.types.get(&type_key).map(|(_, held)| self.everything.and(*held));
        held.is_some_and(|held| held.gate == Gate::Open && !(self.ahead && held.limited))
    }

    /// Those of the offered types of which nothing is to wait for a slot.
    pub(super) fn held_back(&self, offered: &[TaskType]) -> Vec<TaskType> {
        if self.everything.holds_back() {
            return offered.to_vec();
        }
        let held = self.types.values().filter(|(_, held)| held.holds_back());
        held.map(|(name, _)| name.clone()).collect()
    }

    /// A task of this type was claimed.
    pub(super) fn passed(
        &mut self,
        group: &mut Group<'_>,
        type_key: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.everything.limited {
            self.everything = held(group, &Scope::Everything, None, now)?;
        }
        if let Some((name, of_type)) = self.types.get_mut(&type_key).filter(|(_, held)| held.limited) {
            *of_type = held(group, &Scope::TaskType(name.clone()), Some(type_key), now)?;
        }
        Ok(())
    }

    /// From when each type may be claimed that no gate shuts off for longer than it can say.
    pub(super) fn openings(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        self.types.iter().filter_map(|(key, (_, held))| match self.everything.and(*held).gate {
            Gate::Shut => None,
            Gate::Open => Some((*key, Timestamp::MIN)),
            Gate::Until(at) => Some((*key, at)),
        })
    }
}

impl Held {
    const FREE: Held = Held { gate: Gate::Open, limited: false };

    fn holds_back(self) -> bool {
        self.limited || self.gate != Gate::Open
    }

    fn and(self, other: Held) -> Held {
        Held { gate: self.gate.and(other.gate), limited: self.limited || other.limited }
    }
}

/// What holds back a scope. `type_key` says which tasks are counted as running: those of a type, or all.
fn held(
    group: &mut Group<'_>,
    scope: &Scope,
    type_key: Option<u64>,
    now: Timestamp,
) -> Result<Held, StoreError> {
    let conn = group.conn();
    let Some(entry) = group.memory().scopes.get(conn, scope)? else { return Ok(Held::FREE) };
    let state = entry.state.clone();
    let limits = *state.limits();
    let running = match limits.max_running {
        None => 0,
        Some(limit) => {
            group.flush()?;
            running(conn, type_key, limit.get())?
        }
    };
    let limited = limits.max_running.is_some() || limits.rate.is_some();
    Ok(Held { gate: state.gate(running, now), limited })
}

/// Whether limits or pauses hold back a task that is due.
pub(super) fn holds_back(group: &mut Group<'_>, task: &TaskId, now: Timestamp) -> Result<bool, StoreError> {
    let conn = group.conn();
    let Some(entry) = group.memory().task(conn, task)? else { return Ok(false) };
    if entry.state.waiting().is_none_or(|work| work.run_at > now) {
        return Ok(false);
    }
    let (key, type_key) = (entry.key, entry.type_key);
    let task_type: TaskType = entry.state.definition.task_type.clone();
    let everything = held(group, &Scope::Everything, None, now)?;
    let of_type = held(group, &Scope::TaskType(task_type), Some(type_key), now)?;
    if everything.and(of_type).gate != Gate::Open {
        return Ok(true);
    }
    group.flush()?;
    let sql = "SELECT coalesce(ready_ms <= ?2, 0) FROM azoth_p_tasks WHERE key = ?1";
    let cells = params![cell::int(key), now.unix_ms()];
    let ready: bool = conn.prepare_cached(sql)?.query_row(cells, |row| row.get(0))?;
    Ok(!ready)
}

/// Ends the pauses whose instant has come, those of scopes and those of single tasks; at most [`PAUSES_MAX`] of each.
pub(super) fn end_pauses(group: &mut Group<'_>, now: Timestamp) -> Result<(), StoreError> {
    if group.memory().fresh().is_none() {
        group.flush()?;
    }
    if group.memory().outlook.has_no_pauses() {
        return Ok(());
    }
    group.flush()?;
    for scope in scope_row::pauses_over(group.conn(), now, PAUSES_MAX)? {
        let command = ScopeCommand { scope, wish: ScopeWish::EndPause };
        group.scope_command(&command, now)?.map_err(|rejection| cell::corrupt(rejection.to_string()))?;
    }
    let mut statement = group.conn().prepare_cached(PAUSES_OVER)?;
    let rows = statement.query_map(params![now.unix_ms(), cell::int(PAUSES_MAX)], |row| row.get(0))?;
    let tasks: Vec<String> = rows.collect::<Result<_, _>>()?;
    for task in tasks {
        end_pause(group, &task, now)?;
    }
    Ok(())
}

fn end_pause(group: &mut Group<'_>, task: &str, now: Timestamp) -> Result<(), StoreError> {
    let task = TaskId::new(task).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))?;
    let conn = group.conn();
    let entry = group.memory().task(conn, &task)?;
    let Some(TaskPhase::Paused { pause, .. }) = entry.map(|entry| &entry.state.phase) else {
        return Err(cell::corrupt(format!("task {task:?} has an end of its pause and is not paused")));
    };
    let wish = Wish::Resume { misfire: MisfirePolicy::Skip, by: pause.by.clone() };
    let answer = group.command(&TaskCommand { task, wish }, now)?;
    answer.map(drop).map_err(|rejection| cell::corrupt(rejection.to_string()))
}

/// When the next pause ends by itself.
pub(super) fn next_pause_end(conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let until: Option<i64> = conn.prepare_cached(NEXT_PAUSE_END)?.query_row([], |row| row.get(0))?;
    until.map(|cell| cell::instant(cell, "paused_until_ms")).transpose()
}

/// The same; where none does, that is known without asking from then on.
pub(super) fn remembered_pause_end(
    conn: &Connection,
    outlook: &mut Outlook,
) -> Result<Option<Timestamp>, StoreError> {
    if outlook.has_no_pauses() {
        return Ok(None);
    }
    let until = next_pause_end(conn)?;
    if until.is_none() {
        outlook.saw_no_pauses();
    }
    Ok(until)
}

fn running(conn: &Connection, type_key: Option<u64>, limit: u32) -> Result<u64, StoreError> {
    let count: i64 = match type_key {
        Some(key) => conn
            .prepare_cached(RUNNING_OF_TYPE)?
            .query_row(params![cell::int(key), limit], |row| row.get(0))?,
        None => conn.prepare_cached(RUNNING)?.query_row([limit], |row| row.get(0))?,
    };
    cell::number(count, "a count")
}

/// So many pauses that are over are ended in one transaction; more wait for the next one.
const PAUSES_MAX: u64 = 256;
