use azoth_scheduler::task_handler;

#[task_handler(version = 2)]
fn no_upgrade(n: u8) {
    let _ = n;
}

#[task_handler(upgrade = u8::from)]
fn no_version(n: u8) {
    let _ = n;
}

#[task_handler(version = 0)]
fn zero(n: u8) {
    let _ = n;
}

#[task_handler(version = 2, upgrade = [u16::from, u32::from])]
fn too_many(n: u32) {
    let _ = n;
}

#[task_handler(version = 2, upgrade = u16::from)]
fn raw(bytes: &[u8]) {
    let _ = bytes;
}

fn main() {}
