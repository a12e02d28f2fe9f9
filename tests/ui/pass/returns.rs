use azoth_scheduler::{Permanent, TaskError, TaskEvent, TaskResult, task_handler};
use serde::Serialize;

#[derive(Serialize)]
struct Sent {
    id: u64,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[task_handler]
fn nothing() {}

#[task_handler]
fn unit() -> () {}

#[task_handler]
fn value() -> Sent {
    Sent { id: 1 }
}

#[task_handler]
fn maybe() -> Option<Sent> {
    None
}

#[task_handler]
fn text() -> &'static str {
    "done"
}

#[task_handler]
async fn event() -> TaskEvent {
    TaskEvent::new("own", []).unwrap()
}

#[task_handler]
async fn gives_up() -> TaskResult {
    Err(Permanent::new("gone").into())
}

#[task_handler]
async fn library_result() -> azoth_scheduler::Result<TaskEvent> {
    TaskEvent::new("own", [])
}

#[task_handler]
async fn anyhow_unit() -> anyhow::Result<()> {
    Ok(())
}

#[task_handler]
async fn anyhow_value() -> anyhow::Result<Sent> {
    Ok(Sent { id: 1 })
}

#[task_handler]
fn alias() -> Outcome<Vec<u8>> {
    Ok(vec![1])
}

#[task_handler]
fn io() -> std::io::Result<()> {
    Ok(())
}

#[task_handler]
fn text_error() -> Result<Sent, String> {
    Err("no".into())
}

#[task_handler]
fn str_error() -> Result<(), &'static str> {
    Err("no")
}

#[task_handler]
fn own_error() -> Result<u8, TaskError> {
    Ok(1)
}

#[task_handler]
fn opaque() -> impl Serialize {
    Sent { id: 1 }
}

#[task_handler]
async fn opaque_result() -> Result<impl Serialize + Send, std::fmt::Error> {
    Ok(Sent { id: 1 })
}

fn main() {}
