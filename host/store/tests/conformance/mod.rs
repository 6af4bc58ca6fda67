//! What every store has to do, written against the trait alone.
//!
//! `suite!` makes a test of each case; it is given an expression that opens a new store, in which failures become dead
//! letters, and what keeps it alive.

mod agents;
mod dead;
mod items;
mod jobs;
mod kept;
pub(crate) mod made;
pub(crate) mod model;
mod outcomes;

pub(crate) use agents::*;
pub(crate) use dead::*;
pub(crate) use items::*;
pub(crate) use jobs::*;
pub(crate) use kept::*;
pub(crate) use outcomes::*;

macro_rules! suite {
    ($open:expr) => {
        crate::conformance::suite!(
            $open,
            a_plugin_is_kept_with_its_component,
            a_job_is_kept_as_it_was_accepted,
            a_job_that_is_all_here_is_accepted_at_once,
            a_job_has_one_owner,
            an_older_owner_writes_nothing,
            time_at_work_is_kept_over_owners,
            chunks_are_appended_once_and_in_order,
            a_sealed_job_takes_no_items,
            large_items_come_back_whole,
            names_are_read_across_chunks,
            results_come_in_the_order_of_runs,
            what_landed_is_told_in_order,
            a_run_keeps_its_first_outcome,
            a_tally_counts_by_worker_and_group,
            last_outcomes_and_the_end_are_one_step,
            groups_are_bounded,
            attempts_are_remembered_until_there_is_an_outcome,
            a_finished_job_takes_nothing_and_tells_all,
            jobs_are_listed_newest_first,
            what_is_not_there_is_unknown,
            bodies_go_before_results,
            plugins_of_jobs_alone_go_with_them,
            failures_are_dead_letters,
            dead_letters_are_read_in_pages,
            a_page_of_large_dead_letters_is_shorter_and_never_empty,
            dead_letters_are_forgotten_and_their_outcomes_stand,
            what_is_taken_back_never_was,
            a_finished_job_goes_on_when_outcomes_are_taken_back,
            a_job_that_was_stopped_does_not_go_on,
            taking_back_is_exact_however_much_there_is,
            bodies_are_kept_for_dead_letters,
            dead_letters_go_with_their_job,
            a_key_names_one_job,
            authors_do_not_take_each_others_keys,
            a_job_is_paused_until_it_goes_on,
            jobs_are_listed_by_what_they_are,
            jobs_are_counted_as_they_change,
            a_list_goes_on_behind_a_job_that_is_no_more,
            a_job_is_deleted_at_once,
            the_log_is_read_from_a_place_on,
            a_change_is_told_with_itself_or_not_at_all,
            old_events_go_and_their_numbers_are_not_given_again,
            an_event_of_a_clock_that_was_ahead_keeps_no_others,
            tokens_are_kept_by_name,
            schedules_are_kept_by_name,
            limits_of_plugins_are_kept_by_name,
            what_is_new_is_unknown_of_no_job,
            a_join_token_is_good_for_its_uses_and_its_time,
            no_more_join_at_once_than_may,
            an_agent_is_remembered_from_its_enrolment_on,
            an_agent_stays_drained_and_revoked,
            agents_are_forgotten_when_their_certificates_can_no_longer_be_renewed
        );
    };
    ($open:expr, $($case:ident),*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _alive) = $open;
                crate::conformance::$case(&store).await;
            }
        )*
    };
}
pub(crate) use suite;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
