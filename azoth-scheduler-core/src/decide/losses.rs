//! Processes that died while they ran a task: what makes it a suspect, and what ends it.

use crate::state::Counts;

/// So many processes may die while they run one occurrence of a task; then the task is disabled.
pub const LOSSES_MAX: u32 = 5;
/// From so many losses within one occurrence on a task is a suspect: it may be what kills its processes, so it is run alone,
/// and neither it nor its neighbours are judged by chance.
pub const SUSPECT_LOSSES: u32 = 2;

impl Counts {
    /// Whether the task may be what kills its processes, and so is run alone.
    pub const fn is_suspect(&self) -> bool {
        self.losses >= SUSPECT_LOSSES
    }
}
