//! How long it is looked for a commit after a hint, and when nothing is left to be found.
//!
//! Whoever commits holds the write lock from before his first frame until his commit is visible, so no two commits overlap.
//! A look that finds something new where a look before it, itself behind all hints, did not, is therefore the last one: the
//! commit that became visible between the two was under way at that first look, each other one that there was a hint of
//! ended before it, and one that began after it brings a hint of its own. That does not hold behind a commit of our own of which
//! there were no hints: one that begins before it says that it is done brings none either. While our own writer commits there is
//! no look, which would be in its way: it tells itself of its commit, and of what others had committed before it. One that fails
//! tells of nothing, so it is looked behind it.
//!
//! No clock and no file here: what is seen is brought, and what to do next is answered.

use std::time::Duration;

/// The looks after a hint.
#[derive(Debug)]
pub(super) struct Vigil {
    pauses: Pauses,
    step: usize,
    /// There was a look since the last hint.
    based: bool,
    /// There were hints since the pauses began.
    again: bool,
    over: bool,
    /// A commit may have begun without a hint.
    unheard: bool,
    /// The ends of the writer's commits that were known when this was asked last.
    ends: Ends,
}

/// What this process's own writer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnWriter {
    /// How its commits have ended.
    pub(super) ends: Ends,
    /// It is committing.
    pub(super) committing: bool,
    /// While it does, and until it says that it is done, there are no hints: not of its own frames, nor of those of whoever is
    /// next.
    pub(super) is_unheard: bool,
}

/// How often the commits of this process's own writer have ended so, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// Each of these told of all that others had committed before it.
    pub(super) committed: u64,
    /// These told of nothing.
    pub(super) failed: u64,
}

/// What to do before the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Sleep for so long. Hints that come meanwhile wait, so that a busy file costs no more than these looks.
    Sleep(Duration),
    /// Sleep until a hint comes, but no longer than this.
    Listen(Duration),
    /// Everything that there was a hint of is told.
    Rest,
}

/// Which pauses are made between looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pauses {
    /// Short ones: a commit is under way.
    Soon,
    /// Few: a commit was seen, and it is hardly likely that there was a hint of another.
    Calm,
    /// Fewer: the hints came while our own writer said that it committed. Another commit can only have begun in the moment
    /// before it said that it was done.
    Own,
}

impl Vigil {
    /// There was a hint. The writer's commits had ended so when nothing was left to be found before.
    pub(super) fn new(ends: Ends) -> Self {
        Self { pauses: Pauses::Soon, step: 0, based: false, again: false, over: false, unheard: false, ends }
    }

    /// Whether to look now. `hinted`: there were hints since this was asked last.
    pub(super) fn wants_look(&mut self, hinted: bool, own: OwnWriter) -> bool {
        let before = std::mem::replace(&mut self.ends, own.ends);
        if hinted {
            self.based = false;
            self.again |= self.step > 0;
            if self.pauses != Pauses::Soon {
                (self.pauses, self.step) = (Pauses::Soon, 0);
            }
        }
        if own.committing {
            // A look would stand in its way, and nobody else can commit meanwhile.
            return false;
        }
        let own_ended = before != own.ends;
        self.unheard |= own_ended && own.is_unheard;
        if own_ended && !hinted {
            (self.pauses, self.step) = (Pauses::Own, 0);
        }
        // A hint is most likely of our own commit, which tells of all that others committed before it.
        !own_ended || before.failed != own.ends.failed
    }

    /// It was looked, and something was new or not.
    pub(super) fn looked(&mut self, new: bool) {
        self.over = new && self.based && !self.unheard;
        if new && !self.based && self.pauses == Pauses::Soon {
            (self.pauses, self.step) = (Pauses::Calm, 0);
        }
        self.based = true;
    }

    /// What to do until it is looked again.
    pub(super) fn next(&mut self, own: OwnWriter) -> Next {
        if self.over {
            return Next::Rest;
        }
        if self.pauses == Pauses::Soon && self.step >= SOON.len() && self.again {
            (self.step, self.again) = (0, false);
        }
        let step = self.step;
        self.step += 1;
        if own.committing {
            return match step {
                0 => Next::Sleep(FRAMES),
                1..OWN_STEPS => Next::Sleep(OWN),
                _ => Next::Rest,
            };
        }
        let (short, long): (&[_], &[_]) = match self.pauses {
            Pauses::Soon => (&SOON, &LATE),
            Pauses::Calm => (&CALM, &CALM_LATE),
            Pauses::Own => (&[], &OWN_LATE),
        };
        match (short.get(step), long.get(step.saturating_sub(short.len()))) {
            (Some(span), _) => Next::Sleep(*span),
            (None, Some(span)) => Next::Listen(*span),
            (None, None) => Next::Rest,
        }
    }
}

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// While a commit is under way it is looked after each of these pauses: 20 ms in all.
const SOON: [Duration; 15] = [
    us(250),
    us(250),
    us(500),
    ms(1),
    ms(1),
    ms(1),
    ms(2),
    ms(2),
    ms(2),
    ms(2),
    ms(2),
    ms(2),
    ms(2),
    ms(1),
    ms(1),
];
/// And then, if nothing has come to be seen: a slow disk may take its time to sync.
const LATE: [Duration; 4] = [ms(20), ms(40), ms(80), ms(160)];
/// After a commit that may have been the only one.
const CALM: [Duration; 1] = [ms(1)];
const CALM_LATE: [Duration; 4] = [ms(4), ms(15), ms(50), ms(150)];
/// So long it takes until the writer of this process has written its frames, and the hints of them are there.
const FRAMES: Duration = us(250);
/// While it commits it is waited for so long and so often. It wakes nobody when it is done: those who wait for its answers come
/// first, and it tells itself of how its commit ends.
const OWN: Duration = ms(2);
const OWN_STEPS: usize = 160;
/// After a commit of its own.
const OWN_LATE: [Duration; 3] = [ms(4), ms(30), ms(300)];

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Ends = Ends { committed: 0, failed: 0 };
    const IDLE: OwnWriter = OwnWriter { ends: NONE, committing: false, is_unheard: false };
    const COMMITTING: OwnWriter = OwnWriter { committing: true, ..IDLE };
    const COMMITTED: OwnWriter = OwnWriter { ends: Ends { committed: 1, failed: 0 }, ..IDLE };

    /// Looks as long as is wanted, each time after it was listened. How long it was listened before each look, of which the numbers
    /// say whether it finds something new.
    fn looks(vigil: &mut Vigil, own: OwnWriter, is_new: impl Fn(usize) -> bool) -> Vec<Duration> {
        let mut pauses = Vec::new();
        while let Next::Listen(span) = vigil.next(own) {
            pauses.push(span);
            assert!(vigil.wants_look(false, own));
            vigil.looked(is_new(pauses.len()));
        }
        pauses
    }

    #[test]
    fn commit_of_our_own_is_not_disturbed_and_costs_three_looks() {
        let mut vigil = Vigil::new(NONE);
        assert!(!vigil.wants_look(true, COMMITTING), "the hint is of our own");
        assert_eq!(vigil.next(COMMITTING), Next::Sleep(FRAMES));
        assert!(!vigil.wants_look(true, COMMITTING), "its frames are written by now");
        for _ in 0..10 {
            assert_eq!(vigil.next(COMMITTING), Next::Sleep(OWN));
            assert!(!vigil.wants_look(false, COMMITTING), "nothing can be new");
        }
        assert!(!vigil.wants_look(false, COMMITTED), "it tells of itself");
        assert_eq!(looks(&mut vigil, COMMITTED, |number| number == 1), OWN_LATE);
    }

    #[test]
    fn hint_after_a_commit_of_our_own_is_looked_after_soon() {
        let mut vigil = Vigil::new(NONE);
        assert!(!vigil.wants_look(true, COMMITTING));
        assert_eq!(vigil.next(COMMITTING), Next::Sleep(FRAMES));
        assert!(!vigil.wants_look(true, COMMITTED), "it may be of our own");
        let Next::Sleep(span) = vigil.next(COMMITTED) else { panic!("it is looked soon") };
        assert!(span <= ms(1), "{span:?}");
        assert!(vigil.wants_look(false, COMMITTED));
    }

    #[test]
    fn commit_of_our_own_that_was_over_before_its_hint_was_heard_costs_six_looks() {
        let mut vigil = Vigil::new(NONE);
        let mut looks = 0;
        let mut next = Next::Sleep(Duration::ZERO);
        let mut hinted = true;
        while next != Next::Rest {
            if vigil.wants_look(hinted, COMMITTED) {
                looks += 1;
                vigil.looked(looks == 1);
            }
            hinted = false;
            next = vigil.next(COMMITTED);
        }
        assert_eq!(looks, 6);
    }

    #[test]
    fn commit_of_our_own_without_hints_costs_three_looks_and_none_of_them_is_taken_for_the_last_one() {
        let own = OwnWriter { is_unheard: true, ..COMMITTED };
        let mut vigil = Vigil::new(NONE);
        assert!(!vigil.wants_look(false, own), "it tells of itself");
        assert_eq!(looks(&mut vigil, own, |_| true), OWN_LATE);
    }

    #[test]
    fn commit_of_our_own_that_failed_is_looked_behind_at_once() {
        let own = OwnWriter { ends: Ends { committed: 0, failed: 1 }, is_unheard: true, ..IDLE };
        let mut vigil = Vigil::new(NONE);
        assert!(vigil.wants_look(false, own), "nobody has told what others committed before it");
        vigil.looked(false);
        assert_eq!(looks(&mut vigil, own, |_| true), OWN_LATE);
    }

    #[test]
    fn while_our_own_writer_goes_on_nothing_is_asked() {
        let mut vigil = Vigil::new(NONE);
        for committed in 1..1_000 {
            let own = OwnWriter { ends: Ends { committed, failed: 0 }, ..IDLE };
            assert!(!vigil.wants_look(true, own));
            assert!(matches!(vigil.next(own), Next::Sleep(_)));
        }
    }

    #[test]
    fn hint_that_no_commit_follows_is_forgotten_after_a_third_of_a_second() {
        let mut vigil = Vigil::new(NONE);
        let (mut looks, mut spent, mut hinted) = (0, Duration::ZERO, true);
        loop {
            if vigil.wants_look(hinted, IDLE) {
                looks += 1;
                vigil.looked(false);
            }
            hinted = false;
            match vigil.next(IDLE) {
                Next::Sleep(span) | Next::Listen(span) => spent += span,
                Next::Rest => break,
            }
        }
        assert_eq!((looks, spent), (1 + SOON.len() + LATE.len(), ms(320)));
    }

    /// A commit: from its lock to the instant at which it is visible or has failed, in microseconds; its frames lie in between.
    struct Commit {
        locked: u64,
        frames: Vec<u64>,
        ended: u64,
        fails: bool,
        /// How much later our own writer says that it is over.
        said: u64,
        own: bool,
    }

    /// Chance from a seed.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % below
        }
    }

    fn history(dice: &mut Dice) -> Vec<Commit> {
        let mut now = 0;
        let commits = (0..1 + dice.roll(6)).map(|_| {
            // In bursts, and after a rest.
            now += if dice.roll(3) == 0 { dice.roll(400_000) } else { dice.roll(300) };
            let locked = now;
            let mut frames = Vec::new();
            for _ in 0..1 + dice.roll(4) {
                now += 1 + dice.roll(60);
                frames.push(now);
            }
            // A sync, which takes as long as it likes.
            now += 1 + [dice.roll(40), dice.roll(5_000), dice.roll(120_000)][dice.roll(3) as usize];
            let said = 1 + [dice.roll(10), dice.roll(3_000)][dice.roll(2) as usize];
            Commit { locked, frames, ended: now, fails: dice.roll(4) == 0, said, own: dice.roll(2) == 0 }
        });
        commits.collect()
    }

    /// Runs the watch over a history of commits. What it knows of when all is over, and how many commits did not fail. While the
    /// ear is covered there are no hints; when it is uncovered those are forgotten that nobody has taken in, and the bell is rung.
    fn watched(history: &[Commit], covers: bool, dice: &mut Dice) -> (usize, usize) {
        let over = |commit: &Commit| commit.ended + commit.said;
        let covered = |at: u64| {
            let under_way = |commit: &Commit| (commit.locked..over(commit)).contains(&at);
            covers && history.iter().any(|commit| commit.own && under_way(commit))
        };
        let frames = history.iter().flat_map(|commit| commit.frames.iter().copied());
        let hints: Vec<u64> = frames.filter(|at| !covered(*at)).collect();
        let rings = history.iter().filter(|commit| covers && commit.own);
        let mut rings: Vec<u64> = rings.map(over).collect();
        rings.sort_unstable();
        let visible = |now| history.iter().filter(|commit| !commit.fails && commit.ended <= now).count();
        let ended = |now, fails| {
            let ended = |commit: &&Commit| commit.own && commit.fails == fails && over(commit) <= now;
            history.iter().filter(ended).count() as u64
        };
        let own = |now| OwnWriter {
            ends: Ends { committed: ended(now, false), failed: ended(now, true) },
            committing: history
                .iter()
                .any(|commit| commit.own && (commit.locked..over(commit)).contains(&now)),
            is_unheard: covers,
        };
        let told_by_own = |now| {
            let mut own = history.iter().filter(|commit| commit.own && !commit.fails && over(commit) <= now);
            own.next_back().map_or(0, |last| visible(last.ended))
        };
        let (mut now, mut heard, mut rung, mut version, mut ends) = (0, 0, 0, 0, NONE);
        // Each round begins with a hint that nobody has heard, or a ring.
        while let Some(call) = hints.get(heard).into_iter().chain(rings.get(rung)).min() {
            now = now.max(*call) + dice.roll(300);
            let mut vigil = Vigil::new(ends);
            loop {
                let writer = own(now);
                ends = writer.ends;
                now += dice.roll(5);
                rung = rings.iter().filter(|ring| **ring <= now).count();
                let uncovered = rung.checked_sub(1).map_or(0, |last| rings[last]);
                heard = heard.max(hints.iter().filter(|hint| **hint < uncovered).count());
                let due = hints.iter().filter(|hint| **hint <= now).count();
                let hinted = std::mem::replace(&mut heard, due) != due;
                if vigil.wants_look(hinted, writer) {
                    now += dice.roll(50);
                    let seen = visible(now);
                    vigil.looked(std::mem::replace(&mut version, seen) != seen);
                    now += dice.roll(20);
                }
                let until = |span: Duration| now + u64::try_from(span.as_micros()).unwrap();
                now = match vigil.next(own(now)) {
                    Next::Rest => break,
                    Next::Sleep(span) => until(span) + dice.roll(100),
                    Next::Listen(span) => match hints.get(heard).into_iter().chain(rings.get(rung)).min() {
                        Some(call) => until(span).min(now.max(*call)) + dice.roll(100),
                        None => until(span),
                    },
                };
            }
        }
        // Our own writer tells in any case.
        let end = now.max(history.last().map_or(0, over));
        (version.max(told_by_own(end)), visible(end))
    }

    const SEEDS: u64 = 20_000;

    #[test]
    fn no_commit_is_missed_wherever_it_falls_between_the_looks() {
        for seed in 0..SEEDS {
            let mut dice = Dice(seed);
            let history = history(&mut dice);
            for covers in [false, true] {
                let (told, all) = watched(&history, covers, &mut dice);
                assert_eq!(told, all, "seed {seed}, the ear is covered: {covers}");
            }
        }
    }
}
