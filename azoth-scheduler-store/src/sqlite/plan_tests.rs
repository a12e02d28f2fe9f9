//! Whether each statement that runs often goes along the index that it was written for.

use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::{claim, log, open, read, schema, task_row, worker};

fn plan(sql: &str) -> String {
    let conn = Connection::open_in_memory().unwrap();
    schema::create(&conn).unwrap();
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![0_i64; statement.parameter_count()];
    let rows = statement.query_map(params_from_iter(nothing), |row| row.get::<_, String>("detail")).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn due_tasks_are_one_seek_in_the_due_index_without_sorting() {
    let plan = plan(claim::DUE);
    assert!(
        plan.starts_with("SEARCH azoth_p_tasks USING INDEX azoth_p_due (type=? AND priority=?"),
        "{plan}"
    );
    // Both ends of the range are looked up, none is filtered.
    assert!(plan.contains("run_at_ms>?") && plan.contains("run_at_ms<?"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn earliest_due_instant_is_one_seek_in_the_due_index() {
    let plan = plan(claim::EARLIEST);
    assert_eq!(plan, "SEARCH azoth_p_tasks USING COVERING INDEX azoth_p_due (type=? AND priority=?)");
}

#[test]
fn executions_of_a_worker_are_one_seek_among_the_running_tasks() {
    let plan = plan(worker::HELD);
    assert!(plan.starts_with("SEARCH azoth_p_tasks USING INDEX azoth_p_running (worker=?)"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
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
fn single_rows_are_one_seek() {
    for sql in [task_row::by_id_sql(), task_row::PLACE] {
        let plan = plan(sql);
        assert!(
            plan.starts_with("SEARCH azoth_p_tasks USING INDEX sqlite_autoindex_azoth_p_tasks_1"),
            "{plan}"
        );
    }
    for sql in [log::row_sql(), log::page_sql(), log::PAYLOAD.to_owned(), task_row::by_key_sql().to_owned()] {
        let plan = plan(&sql);
        assert!(plan.contains("USING INTEGER PRIMARY KEY") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn statements_are_planned_once_whatever_is_bound() {
    let conn = Connection::open_in_memory().unwrap();
    open::settle(&conn).unwrap();
    schema::create(&conn).unwrap();
    for sql in [claim::DUE, worker::ORPHANS, &log::page_sql(), &read::tasks_sql("0, 1, 2", false)] {
        let mut statement = conn.prepare(sql).unwrap();
        for limit in [16_i64, 32, 64] {
            let cells = vec![limit; statement.parameter_count()];
            assert!(!statement.exists(params_from_iter(cells)).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
