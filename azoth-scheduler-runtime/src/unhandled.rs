//! Task types that nobody handles: each is named once. Their tasks are never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::time::Timestamp;

/// The types that nobody handled when it was looked, and those that were named.
#[derive(Default)]
pub(crate) struct Unhandled {
    /// Since when, by the monotonic clock.
    since: BTreeMap<TaskType, Duration>,
    named: BTreeSet<TaskType>,
}

impl Unhandled {
    /// Those of the types to be named now: each once, when nobody handled it at any look of a whole lease. At a start, and
    /// while a new version takes the place of an old one, those who handle it may only be on their way.
    pub(crate) fn look(
        &mut self,
        due: BTreeMap<TaskType, Timestamp>,
        elapsed: Duration,
        lease: Duration,
    ) -> Vec<(TaskType, Timestamp)> {
        self.since.retain(|task_type, _| due.contains_key(task_type));
        let mut to_name = due;
        to_name.retain(|task_type, _| {
            let since = *self.since.entry(task_type.clone()).or_insert(elapsed);
            elapsed.saturating_sub(since) >= lease && self.named.insert(task_type.clone())
        });
        to_name.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn due(types: &[&str]) -> BTreeMap<TaskType, Timestamp> {
        types.iter().map(|name| (name.parse().unwrap(), Timestamp::UNIX_EPOCH)).collect()
    }

    fn named(unhandled: &mut Unhandled, types: &[&str], second: u64) -> Vec<String> {
        let named = unhandled.look(due(types), Duration::from_secs(second), LEASE);
        named.into_iter().map(|(task_type, _)| task_type.as_str().to_owned()).collect()
    }

    #[test]
    fn type_is_named_once_when_nobody_handled_it_for_a_whole_lease() {
        let mut unhandled = Unhandled::default();
        assert!(named(&mut unhandled, &["mail"], 0).is_empty());
        assert!(named(&mut unhandled, &["mail", "report"], 14).is_empty());
        assert_eq!(named(&mut unhandled, &["mail", "report"], 15), ["mail"]);
        assert_eq!(named(&mut unhandled, &["mail", "report"], 29), ["report"]);
        assert!(named(&mut unhandled, &["mail", "report"], 1_000).is_empty());
    }

    #[test]
    fn type_that_was_handled_in_between_starts_anew() {
        let mut unhandled = Unhandled::default();
        assert!(named(&mut unhandled, &["mail"], 0).is_empty());
        assert!(named(&mut unhandled, &[], 10).is_empty());
        assert!(named(&mut unhandled, &["mail"], 20).is_empty());
        assert_eq!(named(&mut unhandled, &["mail"], 35), ["mail"]);
    }
}
