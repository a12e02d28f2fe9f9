use azoth_scheduler::{State, task_handler};

struct Mailer;

#[task_handler]
async fn send(to: String, mailer: State<Mailer>, subject: Option<String>) {
    let _ = (to, mailer, subject);
}

#[task_handler]
async fn forgot_the_state(email: Vec<u8>, mailer: Mailer) {
    let _ = (email, mailer);
}

fn main() {}
