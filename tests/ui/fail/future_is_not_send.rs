use azoth_scheduler::task_handler;

#[task_handler]
async fn count() {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
