//! One decision: a span of time, and what is told of the occurrences in it.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::entry::Entry;
use super::imbalance::Imbalance;
use crate::event::Event;
use crate::schedule::{Calendar, Count, Passed};
use crate::state::{TaskPhase, TaskState};
use crate::time::Timestamp;

/// The first and the last of a range of occurrences.
type Range = (Timestamp, Timestamp);

/// A range that passed, and where the log says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) position: u64,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    count: Count,
}

/// What an event decides, and what is told of it so far.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    position: u64,
    /// Asked for the occurrences, where that is sound.
    calendar: Option<Arc<Calendar>>,
    /// The span is `(last, through]`.
    last: Timestamp,
    through: Timestamp,
    /// Whether the task goes on, so that the span ends with an occurrence.
    goes_on: bool,
    /// The first occurrence in the span, as the event before said.
    promised: Option<Timestamp>,
    /// What was to run and will not any more.
    dropped: Vec<Range>,
    /// What runs, or is to run, of the span.
    runs: Vec<Range>,
    /// What passed.
    told: Vec<Told>,
}

impl Told {
    pub(super) fn new(position: u64, passed: &Passed) -> Result<Self, Imbalance> {
        let Passed { from, to, count, .. } = *passed;
        let fits = match count.number {
            0 => false,
            1 => from == to || !count.exact,
            _ => from < to,
        };
        if from > to || !fits {
            let what = format!("{} occurrences from {from} to {to} are none", count.number);
            return Err(Imbalance { position, what });
        }
        Ok(Self { position, from, to, count })
    }

    fn range(&self) -> Range {
        (self.from, self.to)
    }
}

/// What is decided to run and has not started.
pub(super) fn pending(state: &TaskState) -> impl Iterator<Item = Range> {
    let lives = state.phase.kind().is_live() && state.definition.schedule.is_recurring();
    let one = |at| (at, at);
    let backlog = state.progress.backlog.map(|run| (run.next, run.through));
    let (chosen, buffered) = (state.chosen().map(one), state.progress.buffered.map(one));
    [chosen, backlog, buffered].into_iter().flatten().filter(move |_| lives)
}

impl Decision {
    /// The task goes on: with what was to run, and with the span up to the newest occurrence that is decided.
    pub(super) fn go_on(
        calendar: Option<Arc<Calendar>>,
        entry: Entry<'_>,
        before: &TaskState,
        told: Vec<Told>,
    ) -> Result<Self, Imbalance> {
        let through = entry.after.progress.decided_through;
        let mut decision = Self::new(calendar, entry, entry.after, before, through, told);
        if entry.after.definition.schedule.is_recurring() {
            decision.goes_on = true;
            decision.carry(entry, before)?;
        }
        Ok(decision)
    }

    /// The task, or its definition, ends: all that was to run is dropped, and all that has come due passed.
    pub(super) fn end(
        calendar: Option<Arc<Calendar>>,
        entry: Entry<'_>,
        before: &TaskState,
        told: Vec<Told>,
    ) -> Self {
        let through = entry.at.max(before.progress.decided_through);
        let mut decision = Self::new(calendar, entry, before, before, through, told);
        decision.dropped = pending(before).collect();
        decision
    }

    /// A disabled task goes on: what has come due since it was disabled passed.
    pub(super) fn anew(
        calendar: Option<Arc<Calendar>>,
        entry: Entry<'_>,
        before: &TaskState,
        told: Vec<Told>,
    ) -> Self {
        let through = entry.after.progress.decided_through;
        let mut decision = Self::new(calendar, entry, before, before, through, told);
        if let TaskPhase::Disabled { at, .. } = &before.phase {
            decision.last = decision.last.max(*at);
        }
        decision
    }

    fn new(
        calendar: Option<Arc<Calendar>>,
        entry: Entry<'_>,
        defined: &TaskState,
        before: &TaskState,
        through: Timestamp,
        told: Vec<Told>,
    ) -> Self {
        let schedule = &defined.definition.schedule;
        let last = before.progress.decided_through;
        let promised = before.work().map(|work| work.occurrence).filter(|occurrence| *occurrence > last);
        let promised = promised.filter(|occurrence| !before.is_off_schedule(*occurrence));
        let is_retry = before.work().is_some_and(|work| work.attempt.get() > 1);
        Self {
            position: entry.position,
            calendar,
            last,
            through,
            goes_on: false,
            promised: promised.filter(|_| schedule.is_recurring() && !is_retry),
            dropped: Vec::new(),
            runs: Vec::new(),
            told,
        }
    }

    /// What was to run before is to run still, starts, or is dropped; all else that is to run is new.
    fn carry(&mut self, entry: Entry<'_>, before: &TaskState) -> Result<(), Imbalance> {
        let (old, new) = (&before.progress, &entry.after.progress);
        let first = entry.after.running().filter(|running| running.attempt.get() == 1);
        let starts = matches!(entry.event, Event::ExecutionStarted { .. });
        let started = first.filter(|_| starts).map(|running| running.occurrence);
        // The schedule did not ask for a run that somebody asked for.
        let started = started.filter(|occurrence| !entry.after.is_off_schedule(*occurrence));
        let taken = started.or(entry.after.chosen());
        let mut fresh: Vec<Range> = Vec::new();
        if let Some(chosen) = before.chosen().filter(|chosen| taken != Some(*chosen)) {
            self.dropped.push((chosen, chosen));
        }
        let buffered_kept = old.buffered.is_none() || new.buffered == old.buffered || taken == old.buffered;
        self.dropped.extend(old.buffered.filter(|_| !buffered_kept).map(|at| (at, at)));
        fresh.extend(new.buffered.filter(|_| new.buffered != old.buffered).map(|at| (at, at)));
        let from_old = [before.chosen(), old.buffered, old.backlog.map(|run| run.next)];
        fresh.extend(taken.filter(|taken| !from_old.contains(&Some(*taken))).map(|at| (at, at)));
        match (old.backlog, new.backlog) {
            (None, None) => {}
            (None, Some(run)) => fresh.push((run.next, run.through)),
            (Some(run), None) if taken == Some(run.next) && run.next == run.through => {}
            (Some(run), None) => self.dropped.push((run.next, run.through)),
            (Some(run), Some(rest)) => {
                let goes_on = rest.next == run.next || (taken == Some(run.next) && rest.next > run.next);
                if !goes_on || rest.through < run.through || rest.next > run.through {
                    let what = format!(
                        "{} to {} is to run, and was {} to {}",
                        rest.next, rest.through, run.next, run.through
                    );
                    return Err(entry.wrong(what));
                }
                // A longer one goes on with the first occurrence of the span.
                let from = self.calendar.as_ref().and_then(|calendar| calendar.next(self.last));
                let from = from.unwrap_or(self.last.saturating_add_ms(1));
                fresh.extend((rest.through > run.through).then_some((from, rest.through)));
            }
        }
        if let Some((from, _)) = fresh.iter().find(|(from, _)| *from <= self.last) {
            let what = format!("{from} is to run, and was decided before");
            return Err(entry.wrong(what));
        }
        self.runs = fresh;
        Ok(())
    }

    /// Whether a range that is told behind the decision belongs to it, and not to the next one.
    pub(super) fn takes(&mut self, told: Told, state: &TaskState) -> bool {
        let owed = self.dropped.contains(&told.range());
        let of_the_next = pending(state).any(|range| range == told.range());
        let takes = owed || (told.from > self.last && told.to <= self.through && !of_the_next);
        if takes {
            self.told.push(told);
        }
        takes
    }

    /// Compares what is told with what is decided.
    pub(super) fn settle(mut self) -> Result<(), Imbalance> {
        for dropped in core::mem::take(&mut self.dropped) {
            let told = self.told.iter().position(|told| told.range() == dropped);
            let Some(told) = told else {
                let (from, to) = dropped;
                return Err(
                    self.wrong(format!("nothing says what became of {from} to {to}, which was to run"))
                );
            };
            self.told.swap_remove(told);
        }
        let outside = self.told.iter().find(|told| told.from <= self.last || told.to > self.through);
        if let Some(told) = outside {
            let what = format!(
                "{} to {} passed, and what is decided came after {} up to {}",
                told.from, told.to, self.last, self.through
            );
            return Err(Imbalance { position: told.position, what });
        }
        let mut ranges: Vec<Range> =
            self.runs.iter().copied().chain(self.told.iter().map(Told::range)).collect();
        ranges.sort_unstable();
        let next = ranges.iter().skip(1);
        if let Some((_, twice)) = ranges.iter().zip(next).find(|(one, next)| next.0 <= one.1) {
            let told = self.told.iter().filter(|told| told.from <= twice.0 && twice.0 <= told.to);
            let position = told.map(|told| told.position).max().unwrap_or(self.position);
            return Err(Imbalance { position, what: format!("{} is accounted for twice", twice.0) });
        }
        let reached = ranges.last().map_or(self.last, |range| range.1);
        if self.goes_on && reached != self.through {
            return Err(self.wrong(format!("nothing says what became of {}", self.through)));
        }
        let first = ranges.first().map(|range| range.0);
        if let Some(promised) =
            self.promised.filter(|at| *at <= self.through && first.is_none_or(|first| first > *at))
        {
            return Err(self.wrong(format!("nothing says what became of {promised}, which was to come")));
        }
        self.ask(&ranges)
    }

    /// Lets the schedule say that nothing lies in a hole, and that the counts are right.
    fn ask(&self, ranges: &[Range]) -> Result<(), Imbalance> {
        let Some(calendar) = &self.calendar else { return Ok(()) };
        let mut last = self.last;
        for (from, to) in ranges {
            if calendar.next(last) != Some(*from) {
                return Err(
                    self.wrong(format!("nothing says what became of what came after {last} before {from}"))
                );
            }
            last = *to;
        }
        if let Some(rest) = calendar.next(last).filter(|next| *next <= self.through) {
            return Err(self.wrong(format!("nothing says what became of {rest}")));
        }
        for told in &self.told {
            let before = told.from.saturating_add_ms(-1);
            let count = calendar.count(before, told.to);
            if calendar.newest_through(before, told.to) != Some(told.to) || count != told.count {
                let what = format!(
                    "{} occurrences from {} to {} are {}",
                    told.count.number, told.from, told.to, count.number
                );
                return Err(Imbalance { position: told.position, what });
            }
        }
        Ok(())
    }

    fn wrong(&self, what: String) -> Imbalance {
        Imbalance { position: self.position, what }
    }
}
