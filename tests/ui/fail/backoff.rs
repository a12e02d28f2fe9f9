use azoth_scheduler::task_handler;

#[task_handler(backoff = "10s")]
fn one_wait() {}

#[task_handler(backoff = "1h..10s")]
fn reversed() {}

#[task_handler(backoff = "10s..1hour")]
fn unit_of_the_second() {}

#[task_handler(backoff = "0s..1h")]
fn zero() {}

fn main() {}
