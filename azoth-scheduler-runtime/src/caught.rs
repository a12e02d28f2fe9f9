//! Panics that are caught: what the code of users ends by becomes a result, with its message and its place.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use azoth_scheduler_core::execution::ErrorText;

use crate::panic_place;

/// A result, or the message of the panic that took its place.
pub(crate) type Caught<T> = Result<T, ErrorText>;

/// Runs a future to its end or its panic.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Caught<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match caught_here(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// Does something on this thread, to its end or its panic.
pub(crate) fn caught_here<T>(work: impl FnOnce() -> T) -> Caught<T> {
    panic_place::clear();
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let place = panic_place::take();
        panic_text(panic, place)
    })
}

/// The message of a panic and, where it is known, its place, as they are kept.
fn panic_text(panic: Box<dyn Any + Send>, place: Option<String>) -> ErrorText {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    // A value that panics when it is dropped must not take the worker with it.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(panic)));
    let mut text = text.unwrap_or_else(|| "a panic without a message".to_owned());
    let Some(place) = place else { return ErrorText::new(text) };
    // A long message is cut, not its place.
    let room = ErrorText::BYTES_MAX.saturating_sub(place.len() + 16);
    text.truncate(text.floor_char_boundary(room));
    ErrorText::new(format!("{text}, at {place}"))
}
