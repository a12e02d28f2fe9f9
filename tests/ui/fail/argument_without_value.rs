use azoth_scheduler::task_handler;

#[task_handler(cron)]
fn bare() {}

#[task_handler(timeout("30s"))]
fn called() {}

#[task_handler(max_retries =, event =)]
fn nothing() {}

#[task_handler("send_email")]
fn nameless() {}

#[task_handler(= 5)]
fn headless() {}

#[task_handler(event = "sent" timeout = "30s")]
fn no_comma() {}

fn main() {}
