use std::time::Duration;

use azoth_scheduler::task::Priority;
use azoth_scheduler::{TaskHandler, TaskOptions, task_handler};

#[task_handler(
    task_type = "mail",
    aliases = ["send_mail", "post"],
    event = "email_sent",
    timeout = "1m30s",
    max_retries = 0,
    backoff = "250ms..1h",
    priority = "critical",
    concurrency = 4,
    cron = "0 30 9 * * mon-FRI",
    time_zone = "Europe/Berlin",
    name = Mail,
    crate = "azoth_scheduler",
)]
async fn send_email() {}

fn main() {
    assert_eq!(Mail.task_type(), "mail");
    assert_eq!(Mail.aliases(), ["send_mail", "post"]);
    let options = TaskOptions::new()
        .timeout(Duration::from_secs(90))
        .max_retries(0)
        .backoff(Duration::from_millis(250), Duration::from_secs(3600))
        .priority(Priority::Critical)
        .concurrency(4);
    assert_eq!(Mail.options(), options);
    let schedules = Mail.schedules().unwrap();
    assert_eq!(schedules.len(), 1);
    assert_eq!(schedules[0].task_id().unwrap().as_str(), "mail");
}
