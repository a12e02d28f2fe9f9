use azoth_scheduler::task_handler;

#[task_handler(cron = "0 0 25 * * *")]
fn hour() {}

#[task_handler(cron = "0 0 9 * * 1-5,FRY")]
fn weekday() {}

#[task_handler(cron = "0 0/0 9 * * *")]
fn step() {}

#[task_handler(cron = "0 0 9 – * *")]
fn dash() {}

fn main() {}
