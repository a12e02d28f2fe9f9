use azoth_scheduler::task_handler;

#[task_handler(timeout = "30s", max_retries = 1, timeout = "60s")]
fn send() {}

fn main() {}
