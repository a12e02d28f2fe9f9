use azoth_scheduler::{TaskContext, task_handler};

#[task_handler]
fn owned(ctx: TaskContext) {
    drop(ctx)
}

#[task_handler]
fn mutable(ctx: &mut TaskContext) {
    let _ = ctx;
}

#[task_handler]
fn twice(ctx: &TaskContext, again: &azoth_scheduler::TaskContext) {
    let _ = (ctx, again);
}

fn main() {}
