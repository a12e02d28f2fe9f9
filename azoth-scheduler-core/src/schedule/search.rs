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
    /// Whether the next match is likely to lie beyond the next change of the clocks.
    is_rare: bool,
}

/// The search gives up this many seconds after its start: 100 years of 365.25 days.
const SEARCH_SECONDS_MAX: i64 = 3_155_760_000;

impl CronSearch {
    pub(crate) fn new(expression: CronExpression, zone: Zone) -> Self {
        let engine = Engine::new(&expression);
        let is_rare = !expression.month.every && zone.has_changes();
        Self { expression, engine, zone, is_rare }
    }

    /// The first occurrence strictly after `after`, in UTC seconds. `known` is a segment found by an earlier call.
    pub(crate) fn next(&self, after: i64, known: &mut Option<Segment>) -> Option<i64> {
        let mut from = after.checked_add(1)?;
        let until = from.saturating_add(SEARCH_SECONDS_MAX);
        let mut local_times = LocalTimes::new(self, until.saturating_add(OFFSET_MAX));
        if self.is_rare {
            from = leap(&mut local_times, from)?;
        }
        while from <= until {
            let segment = match *known {
                Some(segment) if segment.holds(from) => segment,
                Some(_) | None => *known.insert(self.zone.segment(from)),
            };
            if let Some(at) = self.next_in(segment, from, &mut local_times) {
                debug_assert!(at >= from && segment.holds(at), "{at} from {from} in {segment:?}");
                return Some(at).filter(|at| *at <= until);
            }
            if segment.end == i64::MAX {
                return None;
            }
            from = leap(&mut local_times, segment.end)?;
            debug_assert!(from >= segment.end, "the search goes forward");
        }
        None
    }

    /// The first occurrence at or after `from` in the segment that holds it.
    fn next_in(&self, segment: Segment, from: i64, local_times: &mut LocalTimes<'_>) -> Option<i64> {
        let mut local = from.saturating_add(segment.offset);
        let is_early = from < segment.start.saturating_add(OFFSET_SPAN);
        if is_early && !self.expression.is_wildcard() {
            let shown = self.zone.high_water(segment);
            if segment.start >= from && local_times.first(shown, segment.local_start()).is_some() {
                return Some(segment.start);
            }
            local = local.max(shown);
        }
        Some(local_times.first(local, segment.local_end())?.saturating_sub(segment.offset))
    }

    /// The first matching local second in `from..end`.
    fn first_local(&self, from: i64, end: i64) -> Option<i64> {
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

/// The earliest instant at or after `from` whose local time can be a match, whatever the offsets until then. It leads
/// over years without any.
fn leap(local_times: &mut LocalTimes<'_>, from: i64) -> Option<i64> {
    let local = local_times.first(from.saturating_sub(OFFSET_MAX), i64::MAX)?;
    Some(from.max(local.saturating_sub(OFFSET_MAX)))
}

/// The matching local times of one search, up to its end. It remembers the last one found, since a search asks for the
/// same one again for each segment on the way there.
struct LocalTimes<'a> {
    search: &'a CronSearch,
    /// Nothing is looked for at or after this local time.
    far: i64,
    /// The first match at or after a local time.
    found: Option<(i64, Option<i64>)>,
}

impl<'a> LocalTimes<'a> {
    fn new(search: &'a CronSearch, far: i64) -> Self {
        Self { search, far, found: None }
    }

    /// The first one in `from..end`.
    fn first(&mut self, from: i64, end: i64) -> Option<i64> {
        if from >= end {
            return None;
        }
        let first = match self.found {
            Some((since, first)) if since <= from && first.is_none_or(|first| from <= first) => first,
            Some(_) | None => {
                let first = self.search.first_local(from, self.far);
                self.found = Some((from, first));
                first
            }
        };
        first.filter(|first| *first < end)
    }
}

#[cfg(test)]
mod tests;
