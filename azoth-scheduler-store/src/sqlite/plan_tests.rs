//! Whether each statement that runs often goes along the index that it was written for.

use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::{due, gate, line, log, page, place, read, schema, suspect, task_row, touched, wait_row, worker};

fn plan(sql: &str) -> String {
    let conn = Connection::open_in_memory().unwrap();
    place::settle(&conn).unwrap();
    schema::create(&conn).unwrap();
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![0_i64; statement.parameter_count()];
    let rows = statement.query_map(params_from_iter(nothing), |row| row.get::<_, String>("detail")).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn due_tasks_are_one_seek_in_the_due_index_without_sorting() {
    let plan = plan(page::DUE);
    assert!(
        plan.starts_with("SEARCH azoth_p_tasks USING INDEX azoth_p_due (type=? AND priority=?"),
        "{plan}"
    );
    // Where a page begins is looked up; it is read as far as tasks are due.
    assert!(plan.contains("ready_ms>?"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn due_tasks_that_are_read_whole_are_two_seeks_more_each() {
    let whole = plan(page::whole_sql());
    let alone = plan(page::DUE).replace("azoth_p_tasks", "task");
    let (due, others) = whole.split_once("; ").unwrap();
    assert_eq!(due, alone);
    let seek = |table: &str| format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN");
    assert_eq!(others, format!("{}; {}", seek("event"), seek("payload")));
}

#[test]
fn tasks_that_a_commit_touched_are_found_by_the_primary_keys() {
    assert_eq!(plan(touched::FOUND), "SEARCH azoth_log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
    let plan = plan(touched::TASKS);
    assert!(plan.starts_with("SEARCH azoth_p_tasks USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
    assert!(plan.contains("SEARCH azoth_log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"), "{plan}");
}

#[test]
fn log_is_folded_along_its_primary_key() {
    assert_eq!(plan(log::PASSING), "SEARCH azoth_log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
}

#[test]
fn earliest_due_instant_is_one_seek_in_the_due_index() {
    let plan = plan(due::EARLIEST);
    assert_eq!(plan, "SEARCH azoth_p_tasks USING INDEX azoth_p_due (type=? AND priority=? AND ready_ms>?)");
}

#[test]
fn suspects_are_one_seek_in_an_index_of_their_own() {
    let plan = plan(suspect::FIRST);
    assert_eq!(plan, "SEARCH azoth_p_tasks USING INDEX azoth_p_suspects (type=? AND ready_ms>?)");
}

#[test]
fn executions_of_a_worker_are_looked_for_among_the_running_tasks_only() {
    let held = plan(worker::HELD);
    assert_eq!(held, "SCAN azoth_p_tasks USING INDEX azoth_p_running");
    let bury = plan(worker::BURY);
    assert!(bury.contains("SCAN azoth_p_tasks USING COVERING INDEX azoth_p_running"), "{bury}");
    assert!(!bury.contains("CORRELATED"), "{bury}");
}

#[test]
fn tasks_of_a_group_are_one_seek_in_the_order_of_their_keys() {
    let plan = plan(&read::tasks_sql("0, 1, 2", true));
    assert_eq!(plan, "SEARCH azoth_p_tasks USING INDEX azoth_p_group (group_name=? AND rowid>?)");
}

#[test]
fn orphans_are_looked_for_among_the_running_tasks_only() {
    let plan = plan(worker::ORPHANS);
    assert!(plan.contains("SCAN task USING INDEX azoth_p_running"), "{plan}");
    assert!(plan.contains("SEARCH owner USING PRIMARY KEY (worker=?)"), "{plan}");
}

#[test]
fn line_of_a_key_is_one_range_without_sorting() {
    let plan = plan(line::LINE);
    assert!(
        plan.starts_with("SEARCH task USING INDEX azoth_p_line (concurrency_key=? AND line>?)"),
        "{plan}"
    );
    assert!(
        plan.contains("SEARCH kind USING INTEGER PRIMARY KEY") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

#[test]
fn tasks_of_a_key_that_may_be_claimed_are_one_range() {
    let plan = plan(line::READY);
    assert_eq!(plan, "SEARCH azoth_p_tasks USING INDEX azoth_p_ready (concurrency_key=?)");
}

#[test]
fn running_tasks_are_counted_along_an_index_as_far_as_their_limit() {
    let of_type = plan(gate::RUNNING_OF_TYPE);
    assert!(
        of_type.contains("SEARCH azoth_p_tasks USING COVERING INDEX azoth_p_running (type=?)"),
        "{of_type}"
    );
    let all = plan(gate::RUNNING);
    assert!(all.contains("SCAN azoth_p_tasks USING COVERING INDEX azoth_p_running"), "{all}");
}

#[test]
fn pauses_that_end_are_found_at_the_front_of_their_index() {
    let over = plan(gate::PAUSES_OVER);
    assert!(over.contains("USING INDEX azoth_p_task_pauses (paused_until_ms<?)"), "{over}");
    assert!(!over.contains("TEMP B-TREE"), "{over}");
    let next = plan(gate::NEXT_PAUSE_END);
    assert!(next.contains("azoth_p_task_pauses") && next.contains("azoth_p_scope_pauses"), "{next}");
}

#[test]
fn single_rows_are_one_seek() {
    for (sql, index) in [(task_row::KEY, "COVERING INDEX"), (task_row::PLACE, "INDEX")] {
        let (found, sought) = (plan(sql), format!("USING {index} sqlite_autoindex_azoth_p_tasks_1"));
        assert!(found.starts_with("SEARCH azoth_p_tasks") && found.contains(&sought), "{found}");
    }
    for sql in [log::row_sql(), log::page_sql(), log::PAYLOAD, log::PAYLOADS, task_row::by_key_sql()] {
        let plan = plan(sql);
        assert!(plan.contains("USING INTEGER PRIMARY KEY") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn statements_are_planned_once_whatever_is_bound() {
    let conn = Connection::open_in_memory().unwrap();
    place::settle(&conn).unwrap();
    schema::create(&conn).unwrap();
    for sql in
        [page::DUE, page::whole_sql(), worker::ORPHANS, log::page_sql(), &read::tasks_sql("0, 1, 2", false)]
    {
        let mut statement = conn.prepare(sql).unwrap();
        for limit in [16_i64, 32, 64] {
            let cells = vec![limit; statement.parameter_count()];
            assert!(!statement.exists(params_from_iter(cells)).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}

#[test]
fn those_that_wait_for_a_task_are_one_seek_and_cost_what_they_are() {
    let plan = plan(wait_row::WAITERS);
    assert!(
        plan.starts_with("SEARCH wait USING COVERING INDEX azoth_p_waits_by_dependency (dependency=?)"),
        "{plan}"
    );
    assert!(plan.contains("SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    let plan = self::plan(wait_row::WAITS);
    assert_eq!(plan, "SEARCH azoth_p_waits USING PRIMARY KEY (task=?)");
}

#[test]
fn holder_of_an_idempotency_key_is_one_seek() {
    let plan = plan(task_row::NEWEST_WITH_KEY);
    assert_eq!(plan, "SEARCH azoth_p_tasks USING INDEX azoth_p_unique (unique_key=?)");
}
