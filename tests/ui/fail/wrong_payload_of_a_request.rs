use azoth_scheduler::task_handler;

#[task_handler]
async fn send(to: String) {
    drop(to)
}

#[task_handler]
fn tidy() {}

fn main() {
    let _ = Send::request("id", &7);
    let _ = Send::request("id");
    let _ = Tidy::request("id", &7);
}
