//! Handlers are plain functions: typed JSON payloads, shared state, and typed entry points to schedule them.
//!
//! `cargo run --example typed_handlers`

use std::sync::Mutex;

use azoth_scheduler::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Email {
    to: String,
    subject: String,
}

#[derive(Serialize)]
struct Sent {
    message_number: usize,
}

/// Stands for a connection to a mail server.
#[derive(Default)]
struct Mailer {
    sent: Mutex<Vec<String>>,
}

impl Mailer {
    fn send(&self, email: &Email) -> anyhow::Result<usize> {
        let mut sent = self.sent.lock().map_err(|_| anyhow::anyhow!("another mail was torn in two"))?;
        sent.push(email.to.clone());
        Ok(sent.len())
    }
}

/// An async handler with a payload and state. What it returns becomes its event.
#[task_handler(event = "email_sent", timeout = "30s", max_retries = 5)]
async fn send_email(ctx: &TaskContext, email: Email, mailer: State<Mailer>) -> anyhow::Result<Sent> {
    println!("  {}: {:?} to {}", ctx.task_id(), email.subject, email.to);
    Ok(Sent { message_number: mailer.send(&email)? })
}

/// A plain function runs on a thread where it may block. This one needs no payload, and could also stand alone with
/// `cron = "0 0 3 * * *"`: then it is scheduled when the scheduler starts.
#[task_handler]
fn count_mails(mailer: State<Mailer>) -> usize {
    mailer.sent.lock().map_or(0, |sent| sent.len())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The functions are still functions.
    assert_eq!(count_mails(one_mailer()?), 0);

    let folder = tempfile::tempdir()?;
    let scheduler = Scheduler::builder(SqliteStore::open(folder.path().join("scheduler.db"))?)
        .with_state(Mailer::default())
        .with_task_handlers(task_handlers![SendEmail, CountMails])
        .build()?;

    let welcome = Email { to: "ada@example.org".into(), subject: "Welcome".into() };
    scheduler.schedule_task(SendEmail::request("welcome-42", &welcome)?.immediate().build()?).await?;

    // The payload's type is checked by the compiler above, and by the handler when others write the bytes.
    let wrong = ScheduleTaskRequest::builder("wrong").task_type(SendEmail::TASK_TYPE).payload(r#"{"to":1}"#);
    match scheduler.schedule_task(wrong.immediate().build()?).await {
        Ok(_) => anyhow::bail!("a payload that is no email was accepted"),
        Err(error) => println!("  refused when scheduled: {error}"),
    }

    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    scheduler.wait_until_idle().await?;
    scheduler.schedule_task(CountMails::request("count")?.immediate().build()?).await?;
    scheduler.wait_until_idle().await?;
    scheduler.shutdown().await;
    running.await??;

    assert_eq!(event_of(&scheduler, "welcome-42").await?, r#"email_sent {"message_number":1}"#);
    assert_eq!(event_of(&scheduler, "count").await?, "count_mails.succeeded 1");
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}

fn one_mailer() -> anyhow::Result<State<Mailer>> {
    let mut states = azoth_scheduler::StateMap::default();
    states.insert(Mailer::default());
    Ok(states.require()?)
}

/// The event that a task's handler gave back, as type and JSON.
async fn event_of(scheduler: &Scheduler, id: &str) -> anyhow::Result<String> {
    for recorded in scheduler.task_history(id).await? {
        if let (Event::TaskEventEmitted { emitted, .. }, Some(bytes)) =
            (&recorded.event, recorded.payload.bytes())
        {
            let event = format!("{} {}", emitted.event_type, std::str::from_utf8(bytes)?);
            println!("  {id} gave {event}");
            return Ok(event);
        }
    }
    anyhow::bail!("{id} has no event")
}
