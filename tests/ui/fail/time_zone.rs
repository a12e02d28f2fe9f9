use azoth_scheduler::task_handler;

#[task_handler(time_zone = "Europe/Berlin")]
fn without_cron() {}

#[task_handler(cron = "@daily", time_zone = "+02:00")]
fn offset() {}

#[task_handler(cron = "@daily", time_zone = "")]
fn empty() {}

fn main() {}
