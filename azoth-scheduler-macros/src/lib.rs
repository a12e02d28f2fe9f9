//! The `#[task_handler]` attribute.
