use azoth_scheduler::task_handler;

#[task_handler(timeuot = "30s")]
fn near() {}

#[task_handler(colour = "blue", event = "done")]
fn far() {}

fn main() {}
