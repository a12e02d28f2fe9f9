//! The front of a lane: those of its tasks whose turn comes first, as far as they are known.
//!
//! It was read once, and is kept true by the rows that the writer writes afterwards; so what one claim has read and had no
//! room for is not read again by the next.

use std::collections::VecDeque;

use super::due_task::{Due, Spot};

/// The tasks of a lane up to some spot, and what is known of those behind it.
#[derive(Debug)]
pub(super) struct Front {
    /// All that stand up to `through`, in order.
    tasks: VecDeque<Due>,
    through: Spot,
    /// The first of those that stand behind `through`.
    behind: First,
    /// Those that come next are not remembered: they are read with all that a claim needs to know of them.
    pub(super) is_strange: bool,
}

/// When the first task of a lane, or of a part of it, is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Then; `None` where nothing waits there.
    At(Option<i64>),
    /// Not before then, but nobody knows when: the one that was ready then has moved, or nothing was read.
    NotBefore(i64),
}

impl First {
    const UNKNOWN: First = First::NotBefore(i64::MIN);

    /// Whether no task is ready by then.
    pub(super) fn is_later_than(self, now: i64) -> bool {
        match self {
            First::At(first) => first.is_none_or(|first| first > now),
            First::NotBefore(first) => first > now,
        }
    }

    fn comes(&mut self, ready: i64) {
        let is_first = match *self {
            First::At(first) => first.is_none_or(|first| ready <= first),
            First::NotBefore(first) => ready <= first,
        };
        if is_first {
            *self = First::At(Some(ready));
        }
    }

    fn leaves(&mut self, ready: i64) {
        if *self == First::At(Some(ready)) {
            *self = First::NotBefore(ready);
        }
    }
}

impl Front {
    /// Of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { tasks: VecDeque::new(), through: BEFORE_ALL, behind: First::UNKNOWN, is_strange: false }
    }

    /// When the first task of the lane is ready.
    pub(super) fn first(&self) -> First {
        self.next().map_or(self.behind, |due| First::At(Some(due.ready)))
    }

    /// The task whose turn it is, where that is known.
    pub(super) fn next(&self) -> Option<&Due> {
        self.tasks.front()
    }

    /// Takes that task out: it is claimed, or moves on.
    pub(super) fn take_next(&mut self) -> Option<Due> {
        self.tasks.pop_front()
    }

    /// So many tasks are known.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Up to here all are known.
    pub(super) fn through(&self) -> Spot {
        self.through
    }

    /// Whether a task that comes to this spot stands among those that are known.
    pub(super) fn reaches(&self, spot: Spot) -> bool {
        spot <= self.through
    }

    /// A task has come.
    pub(super) fn comes(&mut self, due: Due) {
        if !self.reaches(due.spot()) {
            self.behind.comes(due.ready);
            return;
        }
        self.insert(due);
        if self.tasks.len() > TASKS_MAX
            && let Some(last) = self.tasks.pop_back()
        {
            self.through = self.tasks.back().map_or(BEFORE_ALL, Due::spot);
            self.behind = First::At(Some(last.ready));
        }
    }

    /// A task that stands in no row yet has come: it cannot be read, so it is known from now on if it is due by then.
    pub(super) fn comes_unwritten(&mut self, due: Due, now: i64) {
        debug_assert!(self.behind.is_later_than(now), "what has yet to be read is due later");
        if due.ready <= now {
            self.through = self.through.max(due.spot());
            self.insert(due);
        } else {
            self.comes(due);
        }
    }

    fn insert(&mut self, due: Due) {
        let at = self.tasks.partition_point(|other| *other < due);
        self.tasks.insert(at, due);
    }

    /// The task at this spot does not wait there any more.
    pub(super) fn leaves(&mut self, spot: Spot) {
        if !self.reaches(spot) {
            self.behind.leaves(spot.0);
        } else if let Ok(at) = self.tasks.binary_search_by_key(&spot, Due::spot) {
            self.tasks.remove(at);
        }
    }

    /// The next one of the lane was read.
    pub(super) fn read(&mut self, due: Due) {
        debug_assert!(!self.reaches(due.spot()), "it is read on in order");
        self.through = due.spot();
        self.behind = First::NotBefore(due.ready);
        self.tasks.push_back(due);
    }

    /// This is when the first one is ready behind those that were read.
    pub(super) fn read_to(&mut self, behind: Option<i64>) {
        self.behind = First::At(behind);
    }

    /// Forgets what stands behind this task, which was taken out: it is to be read in another way.
    pub(super) fn read_again_behind(&mut self, due: &Due) {
        self.tasks.clear();
        (self.through, self.behind) = (due.spot(), First::NotBefore(due.ready));
    }

    /// Forgets the tasks, and keeps in mind when the first one is ready.
    pub(super) fn shorten(&mut self) {
        *self = Self { behind: self.first(), ..Self::unknown() };
    }
}

const BEFORE_ALL: Spot = (i64::MIN, i64::MIN);
/// No more tasks are known of one lane because they have come; more may be because they were read.
const TASKS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use azoth_scheduler_core::id::TaskId;

    use super::*;

    fn due(ready: i64, key: i64) -> Due {
        Due::new(ready, key, TaskId::new(format!("{ready}-{key}")).unwrap())
    }

    fn read(tasks: &[Spot], behind: Option<i64>) -> Front {
        let mut front = Front::unknown();
        tasks.iter().for_each(|(ready, key)| front.read(due(*ready, *key)));
        front.read_to(behind);
        front
    }

    fn rest(mut front: Front) -> (Vec<Spot>, First) {
        let mut tasks = Vec::new();
        while let Some(due) = front.take_next() {
            tasks.push(due.spot());
        }
        (tasks, front.first())
    }

    #[test]
    fn what_comes_among_those_that_are_known_takes_its_place_and_what_comes_behind_is_only_heard_of() {
        let mut front = read(&[(10, 1), (20, 2)], Some(90));
        front.comes(due(10, 0));
        front.comes(due(20, 9));
        front.comes(due(50, 3));
        front.comes(due(60, 4));
        assert_eq!(rest(front), (vec![(10, 0), (10, 1), (20, 2)], First::At(Some(20))));
    }

    #[test]
    fn what_leaves_is_gone_wherever_it_stood() {
        let mut front = read(&[(10, 1), (10, 2), (20, 3)], Some(90));
        front.leaves((10, 2));
        front.leaves((15, 7));
        assert_eq!(front.first(), First::At(Some(10)));
        front.leaves((90, 8));
        assert_eq!(rest(front), (vec![(10, 1), (20, 3)], First::NotBefore(90)));
    }

    #[test]
    fn what_stands_in_no_row_is_known_once_it_is_due() {
        let mut front = read(&[], Some(90));
        front.comes_unwritten(due(30, 5), 40);
        front.comes_unwritten(due(20, 6), 40);
        front.comes_unwritten(due(50, 7), 40);
        assert!(front.reaches((30, 5)) && !front.reaches((30, 6)));
        assert_eq!(rest(front), (vec![(20, 6), (30, 5)], First::At(Some(50))));
    }

    #[test]
    fn nothing_is_known_behind_more_than_are_remembered() {
        let last = i64::try_from(TASKS_MAX).unwrap();
        let spots: Vec<Spot> = (1..=last).map(|key| (10, key)).collect();
        let mut front = read(&spots, None);
        front.comes(due(10, 0));
        assert_eq!((front.len(), front.through()), (TASKS_MAX, (10, last - 1)));
        front.comes(due(10, last + 1));
        assert_eq!(front.len(), TASKS_MAX);
        (0..last).for_each(|key| assert_eq!(front.take_next().map(|due| due.key), Some(key)));
        assert_eq!(front.first(), First::At(Some(10)));
    }

    #[test]
    fn what_is_forgotten_leaves_behind_when_the_first_one_is_ready() {
        let mut front = read(&[(10, 1), (20, 2), (30, 3)], None);
        let taken = front.take_next().unwrap();
        let mut again = read(&[(10, 1), (20, 2), (30, 3)], None);
        again.take_next();
        again.read_again_behind(&taken);
        assert_eq!((again.through(), again.first()), ((10, 1), First::NotBefore(10)));
        front.shorten();
        assert_eq!((front.len(), front.first()), (0, First::At(Some(20))));
        assert!(!front.reaches((10, 1)));
    }
}
