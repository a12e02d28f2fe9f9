//! What people of this repository run.
fn main() {}
