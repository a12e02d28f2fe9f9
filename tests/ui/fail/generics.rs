use azoth_scheduler::{State, TaskContext, task_handler};

#[task_handler]
fn typed<T: serde::de::DeserializeOwned>(payload: T) {
    drop(payload)
}

#[task_handler]
async fn lent<'a>(ctx: &'a TaskContext) {
    let _ = ctx;
}

#[task_handler]
fn sized<const N: usize>(payload: [u8; N]) {
    let _ = payload;
}

#[task_handler]
fn with_where(payload: u8)
where
    u8: Copy,
{
    let _ = payload;
}

#[task_handler]
fn opaque(payload: impl serde::de::DeserializeOwned, state: State<u8>) {
    let _ = (payload, state);
}

fn main() {}
