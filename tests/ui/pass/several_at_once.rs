use azoth_scheduler::{AnyTaskHandler, BlockingTaskHandler, Result, TaskContext, TaskEvent, task_handler, task_handlers};

#[task_handler]
async fn asynchronous() {}

#[task_handler]
fn synchronous() {}

struct ByHand {
    event: String,
}

impl BlockingTaskHandler for ByHand {
    fn task_type(&self) -> &str {
        "by_hand"
    }

    fn execute(&self, _: &TaskContext, _: &[u8]) -> Result<TaskEvent> {
        TaskEvent::new(&self.event, [])
    }
}

fn main() {
    let handlers: Vec<AnyTaskHandler> =
        task_handlers![Asynchronous, Synchronous, ByHand { event: "done".into() },];
    assert_eq!(handlers.len(), 3);
    assert!(task_handlers![].is_empty());
}
