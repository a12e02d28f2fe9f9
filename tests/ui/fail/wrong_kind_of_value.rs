use azoth_scheduler::task_handler;

const TYPE: &str = "send";

#[task_handler(
    task_type = TYPE,
    aliases = "mail",
    timeout = 30s,
    max_retries = "5",
    backoff = 10,
    priority = high,
    cron = 0 0 9 * * 1-5,
    version = 1.5,
    name = "SendMail",
    crate = 7
)]
fn send() {}

#[task_handler(aliases = ["mail", 7])]
fn mail() {}

fn main() {}
