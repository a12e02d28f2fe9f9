//! What the handlers that `#[task_handler]` makes do: run without a scheduler, by their trait.

use azoth_scheduler::{
    BlockingTaskHandler, Permanent, State, StateMap, TaskContext, TaskEvent, TaskHandler, TaskResult,
    task_handler,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Email {
    to: String,
}

#[derive(Serialize)]
struct Sent {
    email: String,
    attempt: u32,
}

struct Mailer {
    from: &'static str,
}

#[task_handler(
    task_type = "mail",
    aliases = ["email", "post"],
    event = "email_sent",
    timeout = "1m30s",
    max_retries = 5,
    backoff = "10s..1h",
    priority = "high"
)]
async fn send_email(email: Email, ctx: &TaskContext, mailer: State<Mailer>) -> anyhow::Result<Sent> {
    anyhow::ensure!(email.to.contains('@'), "no address");
    Ok(Sent { email: format!("{} to {}", mailer.from, email.to), attempt: ctx.attempt() })
}

fn context(task_type: &str) -> TaskContext {
    let mut states = StateMap::default();
    states.insert(Mailer { from: "ada" });
    TaskContext::detached("task", task_type).unwrap().with_states(states)
}

#[tokio::test]
async fn arguments_come_in_any_order_and_a_value_becomes_the_event() {
    let event = SendEmail.execute(&context("mail"), br#"{"to":"a@b"}"#).await.unwrap();
    assert_eq!(event.event_type(), "email_sent");
    assert_eq!(event.payload(), br#"{"email":"ada to a@b","attempt":1}"#);
}
