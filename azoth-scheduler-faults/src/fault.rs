//! What goes wrong, and when.

/// What the engine asks of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opening a file.
    Open,
    /// Reading a page, or part of one.
    Read,
    /// Writing a page, or part of one.
    Write,
    /// Making durable what was written.
    Sync,
    /// Cutting a file.
    Truncate,
    /// Mapping the index of the write-ahead log.
    MapShared,
    /// Taking the write lock: the begin of a write transaction.
    LockWrite,
    /// Giving the write lock back: the commit is done, or undone.
    UnlockWrite,
}

/// A file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The database file; locks count as calls to it.
    Database,
    /// The write-ahead log.
    Wal,
    /// All others.
    Other,
}

/// What becomes of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails, as a broken disk would have it.
    IoError,
    /// It fails for want of room. A write leaves its first half behind.
    Full,
    /// The process ends before it.
    AbortBefore,
    /// The process ends after it.
    AbortAfter,
}

/// Something that goes wrong at the `nth` call of a kind from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Fault {
    pub(crate) call: Call,
    pub(crate) part: Part,
    pub(crate) effect: Effect,
    pub(crate) skipped: u64,
    pub(crate) lasts: bool,
}

impl Fault {
    /// The next call of this kind goes wrong, once.
    pub fn at(call: Call, part: Part, effect: Effect) -> Self {
        Self { call, part, effect, skipped: 0, lasts: false }
    }

    /// Not the next call, but the `nth`; 1 is the next.
    pub fn nth(mut self, nth: u64) -> Self {
        self.skipped = nth.saturating_sub(1);
        self
    }

    /// From then on all of them go wrong.
    pub fn lasting(mut self) -> Self {
        self.lasts = true;
        self
    }

    /// Counts a call; what becomes of it, and whether the fault is over.
    pub(crate) fn meet(&mut self, call: Call, part: Part) -> Option<Effect> {
        if self.call != call || self.part != part {
            return None;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        if !self.lasts {
            self.skipped = u64::MAX;
        }
        Some(self.effect)
    }
}
