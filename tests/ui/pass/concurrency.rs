use azoth_scheduler::{Limits, TaskHandler, TaskOptions, task_handler};

#[task_handler(concurrency = 1)]
async fn one_at_a_time() {}

fn main() {
    assert_eq!(OneAtATime.options(), TaskOptions::new().concurrency(1));
    assert_eq!(OneAtATime.options().limits, Some(Limits::new().max_running(1)));
}
