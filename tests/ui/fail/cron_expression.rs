use azoth_scheduler::task_handler;

#[task_handler(cron = "0 9 * * 1-5")]
fn five_fields() {}

#[task_handler(cron = "0 0 9 * * 1-5 2026")]
fn seven_fields() {}

#[task_handler(cron = "")]
fn empty() {}

#[task_handler(cron = "@every 5m")]
fn alias() {}

#[task_handler(cron = "0 0 0 30 2 *")]
fn never() {}

fn main() {}
