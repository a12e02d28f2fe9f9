// Only who schedules it needs to write it.
use azoth_scheduler::task_handler;

#[derive(serde::Deserialize)]
struct Email {
    to: String,
}

#[task_handler]
async fn send(email: Email) {
    drop(email.to)
}

fn main() {
    let _ = Send::request("id", &Email { to: "ada".into() });
}
