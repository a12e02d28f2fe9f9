use azoth_scheduler::task_handler;

#[derive(serde::Serialize, serde::Deserialize)]
struct SendEmail {
    to: String,
}

#[task_handler]
async fn send_email(email: SendEmail) {
    drop(email)
}

#[derive(serde::Serialize)]
struct Report;

#[task_handler]
fn report() -> Result<Report, String> {
    Ok(Report)
}

#[task_handler]
fn option() {}

#[task_handler]
#[allow(non_snake_case)]
fn Tidy() {}

#[task_handler]
fn _2fa() {}

#[task_handler(name = same)]
fn same() {}

fn main() {}
