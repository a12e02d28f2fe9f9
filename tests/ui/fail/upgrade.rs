use azoth_scheduler::task_handler;

fn to_text(n: u8) -> String {
    n.to_string()
}

fn two(n: u8, m: u8) -> u64 {
    u64::from(n) + u64::from(m)
}

#[task_handler(version = 2, upgrade = to_text)]
fn another_type(n: u64) {
    let _ = n;
}

#[task_handler(version = 2, upgrade = two)]
fn two_arguments(n: u64) {
    let _ = n;
}

fn main() {}
