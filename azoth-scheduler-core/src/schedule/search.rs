//! The next occurrence of a cron expression in a time zone.
//!
//! The engine searches local times; this maps them to instants. At a change of the clocks the local clock either leaves
//! out a range (a gap) or shows one twice (a repeat). A fixed-time expression runs once at the end of a gap that
//! swallowed it, and only the first time in a repeat; a wildcard one skips gaps and runs both times.

use super::civil::MINUTE_SECONDS;
use super::cron::CronExpression;
use super::engine::Engine;
use super::zone::{OFFSET_MAX, OFFSET_SPAN, Segment, Zone};

/// A cron expression in its zone, ready to be searched.
#[derive(Clone, Debug)]
pub(crate) struct CronSearch {
    expression: CronExpression,
    engine: Engine,
    zone: Zone,
}

/// The search gives up this many seconds after its start: 100 years of 365.25 days.
const SEARCH_SECONDS_MAX: i64 = 3_155_760_000;

impl CronSearch {
    pub(crate) fn new(expression: CronExpression, zone: Zone) -> Self {
        let engine = Engine::new(&expression);
        Self { expression, engine, zone }
    }

    /// The first occurrence strictly after `after`, in UTC seconds. `known` is a segment found by an earlier call.
    pub(crate) fn next(&self, after: i64, known: &mut Option<Segment>) -> Option<i64> {
        let mut from = after.checked_add(1)?;
        let until = from.saturating_add(SEARCH_SECONDS_MAX);
        while from <= until {
            let segment = match *known {
                Some(segment) if segment.holds(from) => segment,
                Some(_) | None => *known.insert(self.zone.segment(from)),
            };
            if let Some(at) = self.next_in(segment, from, until) {
                debug_assert!(at >= from && segment.holds(at), "{at} from {from} in {segment:?}");
                return Some(at).filter(|at| *at <= until);
            }
            if segment.end == i64::MAX {
                return None;
            }
            from = self.leap(segment.end, until)?;
            debug_assert!(from >= segment.end, "the search goes forward");
        }
        None
    }

    /// The first occurrence at or after `from` in the segment that holds it.
    fn next_in(&self, segment: Segment, from: i64, until: i64) -> Option<i64> {
        let mut local = from.saturating_add(segment.offset);
        let is_early = from < segment.start.saturating_add(OFFSET_SPAN);
        if is_early && !self.expression.is_wildcard() {
            let shown = self.zone.high_water(segment);
            if segment.start >= from && self.first_local(shown, segment.local_start()).is_some() {
                return Some(segment.start);
            }
            local = local.max(shown);
        }
        let local_end = segment.local_end().min(until.saturating_add(OFFSET_MAX));
        Some(self.first_local(local, local_end)?.saturating_sub(segment.offset))
    }

    /// Over years without any match: the earliest instant at or after `from` whose local time can be one.
    fn leap(&self, from: i64, until: i64) -> Option<i64> {
        let far = until.saturating_add(OFFSET_MAX);
        let local = self.first_local(from.saturating_sub(OFFSET_MAX), far)?;
        Some(from.max(local.saturating_sub(OFFSET_MAX)))
    }

    /// The first matching local second in `from..end`.
    fn first_local(&self, from: i64, end: i64) -> Option<i64> {
        if from >= end {
            return None;
        }
        let second = from.rem_euclid(MINUTE_SECONDS);
        let minute = from.checked_sub(second)?;
        let local = match self.second_in(minute, second) {
            Some(local) => local,
            None => {
                let minute = self.engine.next_minute(minute, end)?;
                minute.checked_add(i64::from(self.expression.second.first_from(0)?))?
            }
        };
        Some(local).filter(|local| *local < end)
    }

    /// The first matching second of a minute, if the minute matches.
    fn second_in(&self, minute: i64, second: i64) -> Option<i64> {
        let second = self.expression.second.first_from(u8::try_from(second).ok()?)?;
        let matches = self.expression.has_minute(minute);
        matches.then(|| minute.saturating_add(i64::from(second)))
    }
}

#[cfg(test)]
mod tests;
