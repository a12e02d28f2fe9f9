// Every fault is reported, and what uses the handlers is not.
use azoth_scheduler::{State, TaskContext, task_handler, task_handlers};

#[task_handler(
    task_type = "",
    timeout = "soon",
    retries = 5,
    backoff = "1h..10s",
    priority = "urgent",
    cron = "every day",
    event = "sent"
)]
pub async fn send(email: String, ctx: TaskContext, second: u8, state: &State<u8>) {
    let _ = (email, ctx, second, state);
}

#[task_handler(cron = "0 0 24 * * *")]
fn nightly() -> u8 {
    7
}

fn main() -> azoth_scheduler::Result<()> {
    let request = Send::request("id", &"ada".to_owned())?.immediate().build()?;
    assert_eq!(request.task_type().as_str(), Send::TASK_TYPE);
    Nightly::request("id")?.immediate().build()?;
    assert_eq!(task_handlers![Send, Nightly].len(), 2);
    assert_eq!(nightly(), 7);
    Ok(())
}
