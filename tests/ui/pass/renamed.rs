extern crate azoth_scheduler as clockwork;

mod vendored {
    pub use clockwork::*;
}

#[clockwork::task_handler(crate = "clockwork")]
async fn first() {}

#[clockwork::task_handler(crate = crate::vendored)]
fn second(_: u8) {}

mod deeper {
    #[crate::vendored::task_handler(crate = "super::vendored")]
    pub fn third() -> Result<(), String> {
        Ok(())
    }
}

fn main() {
    let handlers = clockwork::task_handlers![First, Second, deeper::Third];
    assert_eq!(handlers.len(), 3);
}
