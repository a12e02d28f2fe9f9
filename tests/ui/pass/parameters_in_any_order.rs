use azoth_scheduler::{State, TaskContext, task_handler};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Email {
    to: String,
}

pub struct Mailer;
pub struct Limits;

#[task_handler]
async fn payload_first(email: Email, ctx: &TaskContext, mailer: State<Mailer>) {
    let _ = (email.to, ctx.attempt(), mailer);
}

#[task_handler]
fn context_last(limits: State<Limits>, email: Email, mailer: azoth_scheduler::State<Mailer>, _: &azoth_scheduler::TaskContext) {
    let _ = (email.to, limits, mailer);
}

#[task_handler]
async fn patterns(Email { to }: Email, mut attempts: State<u32>, _ctx: &TaskContext) {
    attempts = State::new(*attempts + 1);
    let _ = (to, attempts);
}

#[task_handler]
async fn only_state(_: State<Vec<u8>>) {}

#[task_handler]
fn only_context(_: &TaskContext) {}

#[task_handler]
async fn std_payload(numbers: std::collections::BTreeMap<String, Vec<u64>>) {
    let _ = numbers;
}

#[task_handler]
fn tuple_payload((id, name): (u64, String)) {
    let _ = (id, name);
}

#[task_handler]
fn static_payload(text: std::borrow::Cow<'static, str>) {
    let _ = text;
}

fn main() {
    let email = Email { to: "ada".into() };
    let request = PayloadFirst::request("welcome-42", &email).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), br#"{"to":"ada"}"#);
    assert_eq!(request.task_type().as_str(), "payload_first");
    let request = OnlyState::request(String::from("id")).unwrap().interval(5).build().unwrap();
    assert_eq!(request.payload(), b"");
    let request = TuplePayload::request("id", &(7, "ada".to_owned())).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), br#"[7,"ada"]"#);
}
