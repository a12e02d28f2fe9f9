// Somebody else schedules it, so it need not be written as JSON.
use azoth_scheduler::{BlockingTaskHandler, task_handler};

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

#[task_handler]
fn ship(order: Order) -> u64 {
    order.id
}

fn main() {
    assert!(Ship.validate(br#"{"id":1}"#).is_ok());
    assert!(Ship.validate(b"").is_err());
}
