//! Names that come again and again in a log.

use azoth_scheduler_core::id::{EventType, GroupName, NameError, TaskType};

/// What a decoder remembers of the names that it met. A log has many tasks and few types of them.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) task_types: Recent<TaskType>,
    pub(super) event_types: Recent<EventType>,
    pub(super) groups: Recent<GroupName>,
}

/// Names that were met not long ago: one that comes again is the same one, and is neither checked nor copied again.
#[derive(Debug)]
pub(super) struct Recent<T> {
    names: Vec<T>,
    /// At most so many are remembered.
    most: usize,
    /// Where the next one goes once there are so many.
    next: usize,
}

impl Names {
    /// Remembers some names of each sort.
    #[cfg(feature = "sqlite")]
    pub(super) fn remembered() -> Self {
        Self::of(RECENT_NAMES_MAX)
    }

    /// Remembers none, for a single record.
    pub(super) fn forgotten() -> Self {
        Self::of(0)
    }

    fn of(most: usize) -> Self {
        Self { task_types: Recent::of(most), event_types: Recent::of(most), groups: Recent::of(most) }
    }
}

impl<T: AsRef<str> + Clone> Recent<T> {
    const fn of(most: usize) -> Self {
        Self { names: Vec::new(), most, next: 0 }
    }

    /// The name, as it was met before or as `parse` makes it.
    pub(super) fn get(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Result<T, NameError> {
        if let Some(known) = self.names.iter().find(|known| known.as_ref() == name) {
            return Ok(known.clone());
        }
        let new = parse(name)?;
        if self.names.len() < self.most {
            self.names.push(new.clone());
        } else if let Some(oldest) = self.names.get_mut(self.next) {
            *oldest = new.clone();
            self.next = (self.next + 1) % self.most;
        }
        Ok(new)
    }
}

/// More than this are looked for longer than they take to be made.
#[cfg(feature = "sqlite")]
const RECENT_NAMES_MAX: usize = 16;

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    fn is_same(one: &TaskType, other: &TaskType) -> bool {
        std::ptr::eq(one.as_str(), other.as_str())
    }

    #[test]
    fn name_that_was_met_not_long_ago_is_the_same_one_and_an_older_one_is_made_anew() {
        let mut recent = Recent::of(RECENT_NAMES_MAX);
        let mut get = |name: String| recent.get(&name, |name| TaskType::new(name)).unwrap();
        let first = get("type-0".into());
        for number in 1..RECENT_NAMES_MAX {
            get(format!("type-{number}"));
        }
        assert!(is_same(&get("type-0".into()), &first));
        let more = get("one more".into());
        let anew = get("type-0".into());
        assert!(anew == first && !is_same(&anew, &first));
        assert!(is_same(&get("one more".into()), &more));
        assert_eq!(recent.names.len(), RECENT_NAMES_MAX);
    }

    #[test]
    fn name_that_breaks_a_rule_is_refused_each_time_and_not_remembered() {
        let mut recent = Recent::of(RECENT_NAMES_MAX);
        for _ in 0..2 {
            assert!(recent.get("\0", |name| TaskType::new(name)).is_err());
        }
        assert!(recent.names.is_empty());
    }

    #[test]
    fn for_a_single_record_none_is_remembered() {
        let mut names = Names::forgotten();
        let mut get = || names.task_types.get("work", |name| TaskType::new(name)).unwrap();
        let (one, other) = (get(), get());
        assert!(!is_same(&one, &other));
    }
}
