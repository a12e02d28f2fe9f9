use azoth_scheduler::task_handler;

#[derive(serde::Serialize, serde::Deserialize)]
struct Range {
    days: u8,
}

#[task_handler(cron = "0 0 3 * * *")]
fn report(range: Range) {
    drop(range)
}

fn main() {
    let _ = Report::request("id", &Range { days: 7 });
}
