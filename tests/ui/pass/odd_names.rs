#![deny(non_camel_case_types)]

use azoth_scheduler::{State, TaskContext, task_handler};

#[task_handler]
fn r#type() {}

#[task_handler]
fn payload(payload: u8, states: State<u8>) {
    let _ = (payload, states);
}

#[task_handler]
async fn ctx(ctx: &TaskContext, payload: u8) {
    let _ = (ctx, payload);
}

#[task_handler]
fn execute(stored: String) {
    let _ = stored;
}

#[task_handler]
async fn request(id: String) {
    let _ = id;
}

#[task_handler]
async fn _hidden_2fa() {}

#[task_handler]
fn größe(größe: f64) {
    let _ = größe;
}

#[task_handler(name = r#Match)]
fn r#match() {}

fn main() {
    assert_eq!(Type::TASK_TYPE, "type");
    assert_eq!(Match::TASK_TYPE, "match");
    assert_eq!(Hidden2fa::TASK_TYPE, "_hidden_2fa");
    let _ = Größe::request("id", &1.5);
    let _ = (Payload::request("id", &1), Ctx::request("id", &1), Execute::TASK_TYPE, Request::TASK_TYPE);
}
