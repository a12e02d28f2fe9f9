use azoth_scheduler::task_handler;

struct Email {
    to: String,
}

#[task_handler]
async fn send(email: Email) {
    drop(email.to)
}

fn main() {}
