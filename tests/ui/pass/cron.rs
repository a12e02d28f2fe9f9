use azoth_scheduler::{BlockingTaskHandler, State, TaskContext, task_handler};

#[task_handler(cron = "0 0 3 * * *")]
fn nightly(ctx: &TaskContext, disk: State<String>) {
    let _ = (ctx.scheduled_at(), disk);
}

#[task_handler(cron = "@monthly", time_zone = "America/Argentina/Buenos_Aires")]
fn with_raw_payload(bytes: &[u8]) {
    let _ = bytes;
}

#[task_handler(cron = r"0 0 0 L * ?")]
fn raw_string() {}

fn main() {
    for schedules in [Nightly.schedules(), WithRawPayload.schedules(), RawString.schedules()] {
        assert_eq!(schedules.unwrap().len(), 1);
    }
}
