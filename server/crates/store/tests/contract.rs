//! Every query keeps the same promises on both databases: each body below runs once on SQLite and once on PostgreSQL.
//!
//! PostgreSQL is reached at TEST_DATABASE_URL, as a user who may create databases; each test makes one and drops it.

#[path = "contract/accounts.rs"]
mod accounts;
#[path = "contract/admin.rs"]
mod admin;
#[path = "contract/archive.rs"]
mod archive;
#[path = "contract/audit.rs"]
mod audit;
#[path = "contract/blobs.rs"]
mod blobs;
#[path = "contract/budgets.rs"]
mod budgets;
#[path = "contract/chat.rs"]
mod chat;
#[path = "contract/checkpoints.rs"]
mod checkpoints;
#[path = "contract/context.rs"]
mod context;
#[path = "contract/dashboard.rs"]
mod dashboard;
#[path = "support/database.rs"]
mod database;
#[path = "contract/exports.rs"]
mod exports;
#[path = "contract/files.rs"]
mod files;
#[path = "contract/forgotten.rs"]
mod forgotten;
#[path = "contract/idempotency.rs"]
mod idempotency;
#[path = "contract/identities.rs"]
mod identities;
#[path = "contract/imports.rs"]
mod imports;
#[path = "contract/jobs.rs"]
mod jobs;
#[path = "contract/log.rs"]
mod log;
#[path = "contract/mcp.rs"]
mod mcp;
#[path = "contract/members.rs"]
mod members;
#[path = "contract/models.rs"]
mod models;
#[path = "contract/network.rs"]
mod network;
#[path = "contract/people.rs"]
mod people;
#[path = "contract/permissions.rs"]
mod permissions;
#[path = "contract/preferences.rs"]
mod preferences;
#[path = "contract/projects.rs"]
mod projects;
#[path = "contract/purge.rs"]
mod purge;
#[path = "contract/quotas.rs"]
mod quotas;
#[path = "contract/review.rs"]
mod review;
#[path = "contract/runs.rs"]
mod runs;
#[path = "contract/search.rs"]
mod search;
#[path = "contract/second_factor.rs"]
mod second_factor;
#[path = "contract/sessions.rs"]
mod sessions;
#[path = "contract/settings.rs"]
mod settings;
#[path = "contract/terminals.rs"]
mod terminals;
#[path = "contract/tokens.rs"]
mod tokens;
#[path = "contract/uploads.rs"]
mod uploads;
#[path = "contract/world.rs"]
mod world;

/// Declares both tests of each body.
macro_rules! on_both {
    ($($file:ident::$body:ident),+ $(,)?) => {$(
        mod $body {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                crate::world::on_sqlite(crate::$file::$body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                crate::world::on_postgres(crate::$file::$body).await;
            }
        }
    )+};
}

on_both! {
    admin::accounts_are_sorted_filtered_and_turned_both_ways,
    admin::administrators_open_projects_for_a_while,
    admin::an_installation_is_told_in_numbers,
    admin::jobs_are_found_by_everything_that_is_known_of_them,
    admin::projects_are_listed_from_outside_deleted_and_restored,
    accounts::a_deleted_account_leaves_a_row_without_a_person,
    accounts::links_work_once_until_their_end,
    accounts::names_and_hashes_change_only_where_they_may,
    accounts::sessions_are_listed_and_ended_by_their_owner,
    archive::comments_are_read_as_they_were_inserted,
    archive::rules_and_settings_are_read_as_they_were_inserted,
    archive::what_a_project_cost_is_read_as_it_was_inserted,
    archive::what_belongs_to_talk_is_read_as_it_was_inserted,
    checkpoints::a_tree_is_copied_with_its_names,
    checkpoints::checkpoints_are_listed_named_and_bounded,
    checkpoints::checkpoints_know_what_changed_since_and_what_they_hold,
    checkpoints::files_and_bytes_are_told_as_they_are_booked,
    blobs::a_sweep_never_removes_what_a_row_names,
    blobs::keeping_and_removing_wait_for_each_other,
    blobs::names_count_where_their_project_is_or_goes,
    budgets::a_call_is_closed_once_and_counts_in_its_turn,
    budgets::calls_outside_of_turns_are_counted_by_person,
    budgets::budgets_are_set_in_place_and_told_of_once,
    budgets::budgets_are_put_over_the_version_that_is_named,
    budgets::counters_hold_reservations_until_they_are_booked,
    budgets::reservations_of_one_counter_wait_for_each_other,
    budgets::sums_are_the_same_before_and_after_rolling_up,
    budgets::versions_are_measured_by_their_calls,
    chat::a_conversation_has_one_unfinished_turn,
    chat::a_turn_is_compared_with_what_its_branch_was_made_of,
    chat::approvals_are_answered_once,
    chat::conversations_are_listed_by_their_last_change,
    chat::messages_are_numbered_without_gaps,
    chat::turns_run_from_queued_to_finished,
    context::a_choice_is_kept_with_its_turn,
    context::a_summary_is_taken_back_once,
    context::older_counts_weigh_less,
    context::pictures_that_nobody_sent_are_forgotten,
    dashboard::an_account_is_told_as_its_parts_are,
    dashboard::languages_and_the_last_change_are_kept_with_the_project,
    dashboard::recent_conversations_are_ones_own_as_long_as_they_can_be_read,
    dashboard::reviews_and_imports_are_told_with_how_far_they_are,
    dashboard::what_goes_on_is_told_to_members,
    exports::a_past_is_read_as_it_was_inserted_and_cleared_while_unfinished,
    exports::an_archive_that_is_being_imported_is_named,
    exports::exports_belong_to_who_asked_until_they_expire,
    sessions::conversations_are_found_by_what_was_said_a_page_at_a_time,
    sessions::conversations_know_their_parent_prompt_and_why_they_wait,
    sessions::deleted_conversations_come_back_for_a_while,
    sessions::messages_are_read_a_window_at_a_time,
    sessions::pictures_that_only_removed_conversations_show_are_released,
    sessions::removed_conversations_are_taken_apart_in_pieces,
    sessions::prompts_wait_in_order_and_an_urgent_one_goes_first,
    sessions::rewinds_hide_messages_until_they_are_undone_once,
    sessions::turns_remember_calls_costs_and_what_they_are_copies_of,
    files::deletions_can_be_gathered,
    files::directories_are_moved_copied_and_deleted_whole,
    files::entries_are_the_current_rows,
    files::the_top_is_found_by_few_steps,
    files::listings_are_ordered_by_bytes,
    files::names_are_found_by_any_spelling,
    files::no_concurrent_save_is_lost,
    files::versions_remember_every_tree,
    forgotten::deletions_are_forgotten_and_numbers_go_on,
    forgotten::old_events_go_and_numbers_go_on,
    forgotten::what_a_revision_wrote_is_thinned,
    idempotency::a_key_is_held_by_one_attempt_at_a_time,
    idempotency::an_attempt_at_work_goes_on_holding_its_key,
    idempotency::the_oldest_answers_make_room_for_newer_ones,
    identities::a_sign_in_is_taken_up_once_by_its_browser,
    identities::an_identity_belongs_to_one_account,
    jobs::a_lost_lease_can_no_longer_write,
    jobs::a_user_has_at_most_the_agreed_number_running,
    jobs::a_worker_asks_for_all_its_cancels_at_once,
    jobs::a_kind_of_work_is_made_now_and_then_and_forgotten,
    jobs::all_users_together_have_at_most_the_agreed_number_running,
    jobs::cancelling_and_dead_letters,
    jobs::each_job_is_claimed_once,
    jobs::expired_leases_are_found,
    jobs::jobs_are_counted_by_kind_and_state,
    jobs::lanes_do_not_wait_for_each_other,
    jobs::many_jobs_of_one_user_do_not_starve_another,
    jobs::one_of_many_reapers_gets_a_lost_job,
    jobs::one_slot_serves_users_in_turn,
    jobs::priorities_decide_between_the_jobs_of_one_user_only,
    log::a_dropped_transaction_leaves_nothing,
    log::appended_events_have_no_gaps,
    log::other_processes_events_are_found_in_the_log,
    log::output_is_found_by_its_bytes,
    log::the_schema_is_brought_up_to_date_once,
    mcp::tool_servers_are_changed_by_one_at_a_time,
    members::an_invitation_goes_when_its_account_is_a_member,
    members::invitations_wait_for_their_address,
    members::members_come_go_and_change_roles,
    members::people_are_present_once_until_their_process_is_silent,
    members::visibility_decides_what_is_listed,
    models::a_provider_goes_with_its_models_and_keys,
    models::names_of_models_are_taken_while_they_are_there,
    models::peoples_keys_are_void_at_another_host,
    models::providers_are_changed_by_one_at_a_time,
    models::versions_are_kept_the_newest_first,
    network::rules_belong_to_one_project,
    network::the_egress_log_is_newest_first_and_pruned_by_project,
    people::names_belong_to_one_user,
    people::only_active_accounts_are_entered,
    people::refresh_tokens_are_spent_once,
    people::sessions_live_until_revoked_or_expired,
    people::sessions_of_one_person_end_by_themselves,
    people::users_are_found_and_changed,
    audit::many_writers_make_one_chain,
    audit::the_audit_log_is_one_chain,
    preferences::preferences_are_replaced_by_who_saw_them,
    tokens::all_tokens_of_a_person_end_at_once,
    tokens::tokens_live_until_revoked_ended_or_their_owner_is_disabled,
    permissions::past_turns_are_the_last_of_the_project,
    permissions::rules_are_added_listed_and_revoked_by_project,
    projects::imports_are_invisible_until_finished,
    projects::pages_of_projects_follow_each_other,
    projects::projects_are_seen_by_members,
    purge::a_deleted_project_is_due_until_its_end_is_begun,
    purge::what_a_project_holds_goes_in_pieces,
    quotas::an_owner_counts_all_projects_together,
    quotas::an_owner_counts_versions_and_checkpoints_together,
    quotas::what_an_export_shows_is_no_surplus_until_it_ends,
    quotas::what_something_needs_is_no_surplus,
    quotas::what_was_counted_takes_the_place_of_what_was_added,
    quotas::writers_of_one_owner_wait_for_each_other,
    review::a_table_made_again_keeps_what_hangs_on_it,
    review::a_turn_has_one_change_set,
    review::comments_are_sent_once,
    review::hunks_are_decided,
    review::open_sets_are_listed_by_project,
    runs::a_finished_run_is_taken_away_with_its_output,
    runs::a_report_is_kept_with_its_run_and_replaced,
    runs::a_run_stands_for_its_turn,
    runs::a_run_starts_and_ends_once,
    runs::how_a_project_is_tested_is_chosen_beside_what_it_may_reach,
    runs::runs_are_listed_newest_first,
    search::files_are_paged_as_they_are_now,
    second_factor::a_code_is_used_by_one,
    second_factor::a_session_says_whether_its_user_has_a_factor,
    second_factor::an_app_is_pending_until_it_is_confirmed,
    second_factor::challenges_come_back_once,
    second_factor::passkeys_belong_to_one_user,
    second_factor::tries_at_one_moment_count_one_by_one,
    settings::the_last_choice_under_a_name_counts,
    terminals::terminals_are_listed_until_a_while_after_their_end,
    uploads::pieces_follow_each_other,
    imports::an_import_holds_its_files_until_it_ends,
    imports::an_import_is_given_up_only_while_it_waits,
}
