use azoth_scheduler::task_handler;

#[task_handler(task_type = "")]
fn empty() {}

#[task_handler(task_type = "send\nemail", event = "sent\0")]
fn control() {}

#[task_handler(aliases = ["mail", "send", "mail", " "])]
fn send() {}

fn main() {}
