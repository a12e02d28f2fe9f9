// Without the facade.
use azoth_scheduler_macros::task_handler;
use azoth_scheduler_runtime::{State, TaskContext, TaskHandler, task_handlers};

#[task_handler(crate = "azoth_scheduler_runtime")]
async fn count(from: u64, ctx: &TaskContext, step: State<u64>) -> u64 {
    from + *step * u64::from(ctx.attempt())
}

#[task_handler(crate = ::azoth_scheduler_runtime, cron = "@hourly")]
fn tick() {}

fn main() {
    assert_eq!(Count.task_type(), "count");
    assert_eq!(task_handlers![Count, Tick].len(), 2);
}
