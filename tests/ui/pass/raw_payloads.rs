use azoth_scheduler::{TaskContext, task_handler};

#[task_handler]
async fn slice(bytes: &[u8]) {
    let _ = bytes;
}

#[task_handler]
fn vector(ctx: &TaskContext, bytes: Vec<u8>) {
    let _ = (ctx, bytes);
}

#[task_handler]
fn slice_of_a_blocking_handler(bytes: &[u8]) -> usize {
    bytes.len()
}

fn main() {
    let request = Slice::request("id", b"abc".as_slice()).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), b"abc");
    let request = Vector::request("id", vec![1, 2]).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), [1, 2]);
    let request = Slice::request("id", [3]).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), [3]);
}
