use azoth_scheduler::task_handler;

#[task_handler(concurrency = 0)]
async fn never() {}

#[task_handler(concurrency = "4")]
async fn quoted() {}

fn main() {}
