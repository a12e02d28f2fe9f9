//! What every store must pass: one case per promise of [`Store`](crate::Store), for whoever writes one.
//!
//! A store that passes is interchangeable with the others. Give the suite a way to open yours, and each case becomes a
//! test of its own (the calling crate needs `tokio` with its macros):
//!
//! ```
//! use std::sync::Arc;
//!
//! use azoth_scheduler_store::conformance::StoreFactory;
//! use azoth_scheduler_store::{MemoryStore, Store, conformance_tests};
//!
//! struct InMemory(MemoryStore);
//!
//! #[async_trait::async_trait]
//! impl StoreFactory for InMemory {
//!     async fn open(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! conformance_tests!(InMemory(MemoryStore::new()));
//! # fn main() {}
//! ```
//!
//! Instants are arguments of every call: no case reads a clock or sleeps. Each ends in the same checks: `verify` finds
//! nothing, a rebuilt projection and a reopened store give the same answers, and the events of every task account for
//! all that its schedule asked for.
//!
//! [`random_walk`] goes beyond single cases: it drives two stores with the same random commands and compares them;
//! [`random_walk_reopening`] closes and opens them on the way, and [`random_walk_cutting`] cuts their logs too, which not
//! every store can: [`CutsItsLog`].

mod bench;
mod cancelling;
mod claiming;
mod clocks;
mod completing;
mod composing;
mod consumers;
mod factory;
mod fencing;
mod limits;
mod noting;
mod past;
mod pausing;
mod reading;
mod retaining;
mod scheduling;
mod scopes;
mod standing;
mod suspects;
mod verify;
mod walk;
mod workers;

use std::fmt;
use std::pin::Pin;

use self::bench::Bench;
pub use self::factory::{CutsItsLog, StoreFactory};
pub use self::walk::{random_walk, random_walk_cutting, random_walk_reopening};

/// One promise, and what shows that it is kept.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it is about.
    pub noun: &'static str,
    /// What must hold.
    pub name: &'static str,
    run: Run,
}

type Run = for<'a> fn(&'a mut Bench) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl Case {
    /// Runs the case on a store of its own.
    ///
    /// # Panics
    /// When the store does not keep the promise.
    pub async fn run(&self, factory: impl StoreFactory + 'static) {
        let mut bench = Bench::open(factory).await;
        (self.run)(&mut bench).await;
        bench.close().await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.noun, self.name)
    }
}

/// Runs every case, each on a store of its own.
///
/// # Panics
/// When the store does not keep a promise.
pub async fn run_all<F: StoreFactory + 'static>(factory: impl Fn() -> F) {
    for case in cases() {
        case.run(factory()).await;
    }
}

/// Runs one case by its name, as the tests that [`conformance_tests`](crate::conformance_tests) makes do.
///
/// # Panics
/// When there is no such case, or the store does not keep the promise.
pub async fn run_case(noun: &str, name: &str, factory: impl StoreFactory + 'static) {
    let case = cases().into_iter().find(|case| case.noun == noun && case.name == name);
    match case {
        Some(case) => case.run(factory).await,
        None => panic!("there is no case {noun}::{name}"),
    }
}

/// Lists the cases, and makes the macro that turns each into a test.
macro_rules! cases {
    (($d:tt) $($noun:ident { $($name:ident),* $(,)? })*) => {
        /// All cases.
        pub fn cases() -> Vec<Case> {
            vec![$($(Case {
                noun: stringify!($noun),
                name: stringify!($name),
                run: |bench| Box::pin($noun::$name(bench)),
            }),*),*]
        }

        /// Makes one test of each case of the [suite](crate::conformance). The expression makes a
        /// [`StoreFactory`](crate::conformance::StoreFactory) and is evaluated anew in each test.
        #[macro_export]
        macro_rules! conformance_tests {
            ($d factory:expr) => {
                $(mod $noun {
                    #[allow(unused_imports, reason = "the factory may need what is in scope there")]
                    use super::*;

                    $(#[::tokio::test]
                    async fn $name() {
                        $d crate::conformance::run_case(stringify!($noun), stringify!($name), $d factory).await;
                    })*
                })*
            };
        }
    };
}

cases! { ($)
    scheduling {
        a_new_task_waits_for_its_first_occurrence,
        the_same_wish_again_changes_nothing_while_the_task_lives,
        the_trace_of_its_scheduling_comes_with_the_claim_of_a_task,
        another_definition_redefines_a_task_that_lives,
        a_running_execution_ends_under_the_old_definition,
        what_has_ended_is_scheduled_anew_unless_it_recurs_unchanged,
        reject_keep_and_replace_do_so_in_every_phase,
        an_instant_in_the_past_is_due_at_once,
        a_schedule_without_an_occurrence_is_refused_and_nothing_is_written,
        commands_of_a_batch_see_what_came_before_them,
        a_batch_over_the_limit_changes_nothing,
        a_record_over_the_limit_undoes_the_whole_batch,
        hostile_names_are_kept_byte_for_byte,
    }
    claiming {
        a_due_task_is_claimed_once_with_all_that_its_handler_needs,
        only_due_tasks_of_the_offered_types_are_claimed,
        levels_go_first_then_instants_then_age,
        every_sixteenth_claim_goes_to_the_oldest_task,
        an_offer_is_answered_with_no_more_claims_than_it_has_ids,
        no_offer_is_answered_with_more_than_the_limit,
        what_a_batch_schedules_it_also_claims,
        the_next_instant_follows_what_happens_between_two_claims,
        occurrences_that_all_passed_use_up_no_execution,
        an_unregistered_or_ended_worker_claims_nothing,
        one_run_stands_for_all_that_an_outage_missed,
        catching_up_runs_the_newest_one_by_one,
    }
    standing {
        what_is_scheduled_while_an_offer_stands_is_claimed_in_the_same_transaction,
        an_offer_stands_until_something_of_its_types_is_due,
        a_standing_offer_brings_no_more_than_it_has_ids_for,
        an_offer_that_was_withdrawn_or_dropped_brings_nothing,
        an_offer_of_a_worker_that_has_ended_claims_nothing,
        what_an_offer_may_have_missed_is_not_called_seen,
    }
    suspects {
        a_suspect_is_claimed_by_an_idle_worker_alone,
        a_suspect_goes_first_where_room_was_made_for_it,
        only_tasks_without_a_loss_are_claimed_ahead,
        no_more_is_claimed_ahead_than_the_limit,
        what_a_limit_or_a_key_holds_together_is_not_claimed_ahead,
    }
    completing {
        a_one_time_task_that_succeeds_finishes,
        the_event_of_a_handler_keeps_its_type_and_its_bytes,
        content_that_looks_like_a_record_is_never_applied,
        an_interval_goes_on_from_its_anchor,
        three_retries_come_after_one_two_and_four_minutes,
        an_exhausted_recurring_task_may_go_on,
        a_permanent_failure_disables_at_once,
        retry_after_and_snooze_wait_as_long_as_they_say,
        timeouts_and_panics_are_failures,
        what_comes_due_while_one_is_open_goes_to_the_overlap_policy,
    }
    composing {
        a_task_runs_once_all_that_it_waits_for_have_succeeded,
        an_end_is_told_to_those_that_wait_in_its_own_batch,
        an_end_that_a_claim_finds_lets_others_be_claimed_by_it,
        unknown_tasks_and_circles_cannot_be_waited_for,
        a_blocked_task_rests_and_goes_on_waiting,
        children_are_scheduled_with_the_success,
        a_result_that_is_refused_schedules_nothing,
        a_refused_child_fails_the_attempt_and_takes_the_others_with_it,
        a_key_stands_for_one_task_while_that_is_pending,
        a_key_stands_for_one_task_for_a_period,
        a_run_that_was_asked_for_leaves_the_schedule_as_it_was,
        a_disabled_task_is_retried_under_its_id,
    }
    noting {
        progress_is_that_of_the_execution_that_holds_the_task,
        a_checkpoint_is_given_to_the_next_attempt_in_whatever_process,
        what_an_execution_says_once_its_task_was_taken_away_is_refused,
        another_occurrence_starts_without_a_checkpoint,
        a_disabled_task_that_is_retried_goes_on_from_its_checkpoint,
        what_ends_for_good_or_is_redefined_keeps_no_checkpoint,
        the_bytes_of_a_checkpoint_stay_as_long_as_somebody_may_need_them,
    }
    fencing {
        a_result_of_an_execution_that_was_taken_away_is_refused,
        a_result_is_recorded_once,
        five_losses_disable_a_task,
        a_task_that_was_given_back_before_it_started_has_lost_nothing,
        an_absence_sends_what_came_due_to_the_misfire_policy,
    }
    cancelling {
        a_waiting_task_is_cancelled_and_not_claimed_any_more,
        a_running_task_is_cancelled_and_its_result_refused,
        a_task_that_has_run_before_can_be_cancelled,
        what_has_ended_is_not_cancelled_again,
        what_was_due_is_recorded_as_missed,
        a_disabled_task_runs_no_more_until_it_is_scheduled_again,
        unknown_tasks_are_named,
    }
    pausing {
        a_paused_task_rests_and_skips_what_came_due_meanwhile,
        a_task_that_runs_is_paused_when_it_ends,
        a_retry_is_kept_over_a_pause,
        resuming_may_catch_up,
        what_came_due_in_a_paused_scope_goes_to_the_policy_that_is_chosen_for_it,
        what_has_ended_is_neither_paused_nor_resumed,
    }
    clocks {
        tasks_that_a_clock_far_ahead_has_decided_are_found_in_pages,
        a_corrected_clock_touches_only_what_was_decided_beyond_it,
    }
    limits {
        no_more_of_a_type_run_at_once_than_its_limit,
        a_type_at_its_limit_holds_up_no_other,
        everything_may_have_a_limit,
        tasks_of_a_key_run_one_at_a_time_in_order,
        a_key_in_backoff_keeps_its_place_and_holds_up_no_other_key,
        a_key_runs_as_many_as_was_said_of_it_or_of_its_type,
        a_rate_lets_its_burst_through_and_then_one_at_a_time,
        a_rate_of_a_key_holds_up_no_other_key,
        a_claim_by_name_is_held_back_too,
        a_paused_type_key_or_everything_claims_nothing,
        a_pause_ends_by_itself_and_that_is_recorded,
        low_levels_and_later_types_and_keys_are_served_in_the_end,
    }
    scopes {
        what_is_said_of_a_scope_is_kept,
        limits_that_were_set_hold_instead_of_those_that_were_declared,
        limits_that_make_no_sense_are_refused,
    }
    reading {
        events_come_in_pages_without_gap_or_overlap,
        a_history_comes_newest_first_in_pages,
        tasks_are_listed_in_the_order_of_their_creation_by_phase_and_type,
        tasks_of_a_group_are_those_whose_last_definition_names_it,
        payloads_are_kept_byte_for_byte,
        instants_are_kept_as_given_and_ordered_beside,
        the_head_is_watched,
        whoever_waits_for_a_task_is_told_of_all_that_happens_to_it,
        counts_are_those_of_the_tasks,
        commits_and_their_sizes_are_counted,
        nothing_is_found_where_nothing_is,
    }
    retaining {
        nothing_is_let_go_without_a_policy_that_says_so,
        tasks_leave_by_the_way_they_ended_and_not_before_their_time,
        an_id_that_left_is_a_new_task_when_it_is_scheduled_again,
        many_tasks_leave_in_several_steps,
        old_payloads_are_dropped_and_those_that_are_needed_stay,
        what_a_consumer_has_yet_to_handle_stays_whole,
    }
    workers {
        a_worker_lives_from_its_registration_to_its_end,
        executions_of_a_worker_that_ended_are_orphans,
        what_a_worker_holds_is_known,
        workers_and_their_executions_survive_a_reopening,
        types_that_no_living_worker_handles_are_reported,
    }
    consumers {
        a_cursor_starts_where_it_is_told_to_and_stays,
        a_cursor_moves_only_from_where_it_stands,
        what_could_not_be_handled_is_kept,
        cursors_survive_a_rebuild_and_a_reopening,
        no_cursor_starts_behind_the_newest_event,
        a_dead_letter_is_handled_again_once,
    }
    past {
        every_moment_is_answered_as_it_was,
        an_instant_is_its_last_event_though_clocks_go_back,
        what_has_not_happened_yet_is_refused,
    }
    verify {
        an_empty_store_is_sound,
        every_kind_of_event_replays,
        a_rebuild_counts_what_it_read,
        a_store_that_refuses_something_is_in_good_health,
    }
}
