//! What comes again and again in a log.

/// Values by the bytes that they were made of, those that were met not long ago: what comes again is neither decoded nor checked
/// a second time.
#[derive(Debug)]
pub(super) struct Recent<T> {
    met: Vec<(Box<[u8]>, T)>,
    /// At most so many are remembered.
    most: usize,
    /// Where the next one goes once there are so many.
    next: usize,
}

impl<T: Clone> Recent<T> {
    /// Remembers at most so many.
    pub(super) const fn of(most: usize) -> Self {
        Self { met: Vec::new(), most, next: 0 }
    }

    /// What these bytes stand for, as it was met before or as it is made now.
    pub(super) fn get<E>(&mut self, bytes: &[u8], make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some((_, known)) = self.met.iter().find(|(known, _)| **known == *bytes) {
            return Ok(known.clone());
        }
        let new = make()?;
        if self.met.len() < self.most {
            self.met.push((bytes.into(), new.clone()));
        } else if let Some(oldest) = self.met.get_mut(self.next) {
            *oldest = (bytes.into(), new.clone());
            self.next = (self.next + 1) % self.most;
        }
        Ok(new)
    }
}

/// More than this are looked for longer than they take to be made.
#[cfg(feature = "sqlite")]
pub(super) const RECENT_MAX: usize = 16;

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use azoth_scheduler_core::id::{EventType, NameError};

    use super::*;

    fn get(recent: &mut Recent<EventType>, name: &str) -> Result<EventType, NameError> {
        recent.get(name.as_bytes(), || EventType::new(name))
    }

    fn is_same(one: &EventType, other: &EventType) -> bool {
        std::ptr::eq(one.as_str(), other.as_str())
    }

    #[test]
    fn what_was_met_not_long_ago_is_the_same_one_and_what_is_older_is_made_anew() {
        let mut recent = Recent::of(RECENT_MAX);
        let mut get = |name: &str| get(&mut recent, name).unwrap();
        let first = get("type-0");
        for number in 1..RECENT_MAX {
            get(&format!("type-{number}"));
        }
        assert!(is_same(&get("type-0"), &first));
        let more = get("one more");
        let anew = get("type-0");
        assert!(anew == first && !is_same(&anew, &first));
        assert!(is_same(&get("one more"), &more));
        assert_eq!(recent.met.len(), RECENT_MAX);
    }

    #[test]
    fn what_cannot_be_made_is_refused_each_time_and_not_remembered() {
        let mut recent = Recent::of(RECENT_MAX);
        for _ in 0..2 {
            assert!(get(&mut recent, "\0").is_err());
        }
        assert!(recent.met.is_empty());
    }

    #[test]
    fn for_a_single_record_nothing_is_remembered() {
        let mut recent = Recent::of(0);
        let (one, other) = (get(&mut recent, "done").unwrap(), get(&mut recent, "done").unwrap());
        assert!(!is_same(&one, &other));
    }
}
