use azoth_scheduler::{BlockingTaskHandler, TaskHandler, task_handler};

#[task_handler]
fn tidy_up() {}

#[task_handler()]
async fn sleep_well() {}

fn main() {
    assert_eq!(TidyUp::TASK_TYPE, "tidy_up");
    assert_eq!(BlockingTaskHandler::task_type(&TidyUp), "tidy_up");
    assert_eq!(TaskHandler::task_type(&SleepWell), "sleep_well");
    tidy_up();
}
