use azoth_scheduler::task_handler;

#[task_handler(timeout = "30")]
fn no_unit() {}

#[task_handler(timeout = "30 s")]
fn space() {}

#[task_handler(timeout = "1h90x")]
fn unknown_unit() {}

#[task_handler(timeout = "0s")]
fn zero() {}

#[task_handler(timeout = "")]
fn empty() {}

#[task_handler(timeout = "99999999999999999999d")]
fn overflow() {}

fn main() {}
