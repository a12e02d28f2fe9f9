use azoth_scheduler::task_handler;

struct Sent;

#[task_handler]
async fn send() -> Sent {
    Sent
}

#[task_handler]
fn post() -> anyhow::Result<Sent> {
    Ok(Sent)
}

fn main() {}
