use azoth_scheduler::{State, task_handler};

#[task_handler]
fn count(counter: State<std::cell::Cell<u8>>) {
    counter.set(1);
}

fn main() {}
