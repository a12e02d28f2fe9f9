//! The handler's border: any error comes in, an [`Outcome`] goes out.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use azoth_scheduler_core::execution::{ErrorText, Failure, FailureClass, Outcome};

use crate::error::SchedulerError;
use crate::event::TaskEvent;
use crate::mark::{Class, Mark, Permanent, RetryAfter, Snooze, shown_class};
use crate::redaction::without_json_values;

/// A handler's failure. Every error converts into it by `?`: those of the standard library, of `anyhow`, boxed ones,
/// and plain text.
///
/// A failed attempt is tried again after its backoff, unless the error or one of its sources is a [`Permanent`], a
/// [`RetryAfter`] or a [`Snooze`]. Kept of it are its message and those of its sources, cut at 4 KiB each.
///
/// ```
/// use azoth_scheduler_runtime::{Permanent, TaskError};
///
/// fn charge(card: &str) -> Result<(), TaskError> {
///     let number: u64 = card.parse()?; // tried again
///     if number == 0 {
///         return Err(Permanent::new("no such card").into()); // not tried again
///     }
///     Ok(())
/// }
/// assert!(!charge("x").unwrap_err().is_permanent());
/// assert!(charge("0").unwrap_err().is_permanent());
/// ```
// It does not implement `Error` itself: the conversion from everything that does would collide with `From<T> for T`.
pub struct TaskError {
    error: Box<dyn Error + Send + Sync>,
}

/// What a handler returns: its event, or any error.
pub type TaskResult = std::result::Result<TaskEvent, TaskError>;

impl TaskError {
    /// An error after which trying again is of no use; the same as [`Permanent`].
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Permanent::new(error).into()
    }

    /// An error after which the next attempt comes after this wait; the same as [`RetryAfter`].
    pub fn retry_after(delay: Duration, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        RetryAfter::new(delay, error).into()
    }

    /// "Not now, but after this wait"; the same as [`Snooze`].
    pub fn snooze(delay: Duration) -> Self {
        Snooze::new(delay).into()
    }

    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        matches!(self.class(), Class::Permanent)
    }

    /// The wait that the error asks for before the next attempt, if it asks for one.
    pub fn retry_delay(&self) -> Option<Duration> {
        if let Class::RetryAfter(delay) = self.class() { Some(delay) } else { None }
    }

    /// How much later the handler asks to be run again, if this is a snooze.
    pub fn snoozed_for(&self) -> Option<Duration> {
        if let Class::Snooze(delay) = self.class() { Some(delay) } else { None }
    }

    /// The error itself.
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.error.as_ref()
    }

    /// How the attempt ended.
    pub(crate) fn into_outcome<S>(self) -> Outcome<S> {
        let class = match self.class() {
            Class::Snooze(delay) => return Outcome::Snoozed { for_ms: whole_ms(delay) },
            Class::RetryAfter(delay) => FailureClass::RetryAfter { delay_ms: whole_ms(delay) },
            Class::Permanent => FailureClass::Permanent,
            Class::Retryable => FailureClass::Retryable,
        };
        let mut texts = self.chain().filter(|error| !error.is::<Mark>()).map(text_of);
        let message = texts.next().unwrap_or_else(|| ErrorText::new("no message"));
        let sources = texts.take(Failure::SOURCES_MAX).collect();
        Outcome::Failed(Failure { class, message, sources })
    }

    /// The error's own message, as it is kept.
    pub(crate) fn text(&self) -> ErrorText {
        text_of(innermost(self.error.as_ref()))
    }

    fn class(&self) -> Class {
        let marks = self.chain().filter_map(|error| error.downcast_ref::<Mark>());
        let marked = marks.map(|mark| mark.class).next();
        marked.or_else(|| self.chain().find_map(shown_class)).unwrap_or(Class::Retryable)
    }

    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut next = Some(innermost(self.error.as_ref()));
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error)
        })
        .take(CHAIN_MAX)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self { error: error.into() }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

/// What a handler's error wears only because of its return type is taken off.
fn innermost<'a>(error: &'a (dyn Error + Send + Sync + 'static)) -> &'a (dyn Error + 'static) {
    match error.downcast_ref::<SchedulerError>() {
        Some(SchedulerError::Handler(inner)) => innermost(inner.as_ref()),
        _ => error,
    }
}

fn text_of(error: &(dyn Error + 'static)) -> ErrorText {
    ErrorText::new(without_json_values(error.to_string()))
}

fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A chain of sources is followed no further than this, whatever an error reports about itself.
const CHAIN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn through_anyhow(error: impl Error + Send + Sync + 'static) -> TaskError {
        let run = || -> anyhow::Result<()> { Err(error).context("while sending").context("outermost") };
        run().unwrap_err().into()
    }

    fn failure(error: TaskError) -> Failure {
        match error.into_outcome::<()>() {
            Outcome::Failed(failure) => failure,
            other => panic!("a failure was expected, not {other:?}"),
        }
    }

    #[test]
    fn mark_is_found_at_the_top_of_an_anyhow_error() {
        let error = TaskError::from(anyhow::Error::from(Permanent::new("gone")));
        assert!(error.is_permanent());
        assert_eq!(failure(error).message.as_str(), "gone");
    }

    #[test]
    fn mark_is_found_below_two_contexts_and_the_texts_are_kept_in_order() {
        let error = through_anyhow(RetryAfter::new(Duration::from_secs(7), "busy"));
        assert_eq!(error.retry_delay(), Some(Duration::from_secs(7)));
        let failure = failure(error);
        assert_eq!(failure.message.as_str(), "outermost");
        let sources: Vec<_> = failure.sources.iter().map(ErrorText::as_str).collect();
        assert_eq!(sources, ["while sending", "busy"]);
    }

    #[test]
    fn snooze_is_no_failure() {
        let error = through_anyhow(Snooze::new(Duration::from_millis(250)));
        assert_eq!(error.into_outcome::<()>(), Outcome::Snoozed { for_ms: 250 });
    }

    /// Known gap, once: a context of `anyhow` is not among the sources of its error.
    #[test]
    fn mark_that_was_added_as_a_context_is_found_with_its_text_and_the_chain_below() {
        let broken = || anyhow::Error::from(std::io::Error::other("link down"));
        let error =
            TaskError::from(broken().context(Permanent::new("the account is gone")).context("paying"));
        assert!(error.is_permanent());
        let failure = failure(error);
        assert_eq!((failure.class, failure.message.as_str()), (FailureClass::Permanent, "paying"));
        let sources: Vec<_> = failure.sources.iter().map(ErrorText::as_str).collect();
        assert_eq!(sources, ["the account is gone", "link down"]);

        let delay = Duration::from_secs(9);
        assert_eq!(
            TaskError::from(broken().context(RetryAfter::new(delay, "busy"))).retry_delay(),
            Some(delay)
        );
        assert_eq!(TaskError::from(broken().context(Snooze::new(delay))).snoozed_for(), Some(delay));
        assert!(!TaskError::from(broken().context("paying")).is_permanent(), "a text alone marks nothing");
    }

    /// An error that tells of another one, without having it as its source.
    #[derive(Debug)]
    struct Tells(&'static str, Permanent);

    impl fmt::Display for Tells {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}", self.0, self.1)
        }
    }

    impl Error for Tells {}

    /// Known gap, once: whoever printed the text of a marked error was marked.
    #[test]
    fn error_that_only_tells_of_a_marked_one_is_not_marked() {
        let tells = |words| TaskError::from(Tells(words, Permanent::new("no such card")));
        assert!(!tells("the last attempt failed: ").is_permanent());
        assert!(tells("").is_permanent(), "what shows its text and nothing else stands for it");
        assert!(!through_anyhow(Tells("before: ", Permanent::new("gone"))).is_permanent());
    }

    #[test]
    fn mark_is_found_in_a_scheduler_error() {
        let error = TaskError::from(SchedulerError::from(Permanent::new("no such card")));
        assert!(error.is_permanent());
        assert_eq!(failure(error).message.as_str(), "no such card");
    }

    #[test]
    fn sources_of_a_marked_error_are_kept() {
        let inner = std::io::Error::other(std::fmt::Error);
        let error = TaskError::permanent(anyhow::Error::from(inner).context("reading"));
        let failure = failure(error);
        assert_eq!(failure.message.as_str(), "reading");
        assert_eq!(failure.class, FailureClass::Permanent);
        assert!(!failure.sources.is_empty());
    }

    #[test]
    fn values_of_a_payload_are_taken_out_of_json_errors() {
        let error = serde_json::from_str::<u32>(r#""hunter2, expected nothing""#).unwrap_err();
        let text = failure(error.into()).message;
        assert!(!text.as_str().contains("hunter2"), "{text}");
        assert!(text.as_str().starts_with("invalid type: (not shown), expected u32 at line 1"), "{text}");
    }
}
