use azoth_scheduler::task_handler;

#[task_handler(task_type = "send")]
struct Send;

#[task_handler]
const WORK: fn() = || {};

fn main() {
    let _ = (Send, WORK);
}
