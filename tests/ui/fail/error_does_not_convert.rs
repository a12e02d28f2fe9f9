use azoth_scheduler::task_handler;

#[derive(Debug)]
struct Oops;

#[task_handler]
async fn send() -> Result<(), Oops> {
    Err(Oops)
}

#[task_handler]
fn post() -> Result<u8, Box<dyn std::error::Error>> {
    Ok(1)
}

fn main() {}
