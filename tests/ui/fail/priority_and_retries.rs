use azoth_scheduler::task_handler;

#[task_handler(priority = "urgent", max_retries = -1)]
fn send() {}

#[task_handler(priority = "High", max_retries = 4294967296)]
fn post() {}

fn main() {}
