use azoth_scheduler::task_handler;

#[task_handler]
unsafe fn send() {}

#[task_handler]
async unsafe fn post(to: String) {
    drop(to)
}

fn main() {}
