use azoth_scheduler::task_handler;

struct Mailer;

impl Mailer {
    #[task_handler]
    async fn send(&self, email: String) {
        drop(email)
    }
}

fn main() {}
