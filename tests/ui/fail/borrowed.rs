use azoth_scheduler::{State, task_handler};

#[derive(serde::Deserialize)]
struct Email<'a> {
    to: &'a str,
}

#[task_handler]
fn by_reference(email: &std::path::PathBuf) {
    let _ = email;
}

#[task_handler]
fn text(email: &str) {
    let _ = email;
}

#[task_handler]
fn list(emails: &[String]) {
    let _ = emails;
}

#[task_handler]
fn with_lifetime(email: Email<'_>) {
    let _ = email.to;
}

#[task_handler]
fn inside(email: Option<&'static str>) {
    let _ = email;
}

#[task_handler]
fn lent_state(mailer: &State<std::collections::BTreeMap<u8, u8>>) {
    let _ = mailer;
}

#[task_handler]
fn mutable_bytes(bytes: &mut [u8]) {
    let _ = bytes;
}

fn main() {}
