//! What a handler's error may ask for: no further attempt, one after another wait, or to be run later.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// An error after which trying again is of no use: the attempt fails and the task is not retried.
///
/// It travels through `anyhow`, as an error or as its context (`.context(Permanent::new("gone"))`), and through errors
/// that wrap it, as long as they report it as their source or show its text, and nothing else, as theirs.
#[derive(Debug)]
pub struct Permanent {
    mark: Mark,
}

/// An error after which the next attempt comes after a wait of its own instead of the usual backoff. It counts as one
/// failure.
#[derive(Debug)]
pub struct RetryAfter {
    mark: Mark,
}

/// "Not now": the task is run again later, and that counts as no failure.
#[derive(Debug)]
pub struct Snooze {
    mark: Mark,
}

impl Permanent {
    /// Makes an error (or plain text) one that is not tried again.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { mark: Mark { class: Class::Permanent, error: Some(error.into()) } }
    }
}

impl RetryAfter {
    /// Makes an error (or plain text) one after which the next attempt comes after `delay`.
    pub fn new(delay: Duration, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { mark: Mark { class: Class::RetryAfter(delay), error: Some(error.into()) } }
    }
}

impl Snooze {
    /// Asks to be run again after `delay`.
    pub fn new(delay: Duration) -> Self {
        Self { mark: Mark { class: Class::Snooze(delay), error: None } }
    }
}

macro_rules! marked_errors {
    ($($error:ty),*) => {$(
        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.mark.is_shown();
                self.mark.show(f)
            }
        }

        impl Error for $error {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.mark)
            }
        }
    )*};
}

marked_errors![Permanent, RetryAfter, Snooze];

/// What the handler asked for, as a *source* of its error. `anyhow` and transparent wrappers hide the type of the error
/// that they wrap, but never its sources; so what must be found stands there.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) class: Class,
    error: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Retryable,
    RetryAfter(Duration),
    Permanent,
    Snooze(Duration),
}

impl Mark {
    /// What the marked error shows.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => fmt::Display::fmt(error, f),
            None => fmt::Display::fmt(self, f),
        }
    }

    /// Tells the one who listens on this thread that an error of this class shows its text.
    fn is_shown(&self) {
        let listens = SHOWN.with_borrow(|shown| matches!(shown, Shown::Nothing));
        if listens {
            let text = ShownText(self).to_string();
            SHOWN.set(Shown::Text(self.class, text));
        }
    }
}

/// The class of the marked error whose text an error shows as its own. A context of `anyhow` is no source and hides its
/// type, but it shows its text, so this finds one that was used as a context. An error that shows more than that text only
/// tells of the marked one.
pub(crate) fn shown_class(error: &(dyn Error + 'static)) -> Option<Class> {
    SHOWN.set(Shown::Nothing);
    let whole = error.to_string();
    match SHOWN.replace(Shown::Unheard) {
        Shown::Text(class, text) if text == whole => Some(class),
        Shown::Text(..) | Shown::Nothing | Shown::Unheard => None,
    }
}

/// What a marked error shows, told to nobody.
struct ShownText<'a>(&'a Mark);

impl fmt::Display for ShownText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

/// What was shown while somebody listens.
enum Shown {
    /// Nobody listens.
    Unheard,
    Nothing,
    /// The class and the text of the marked error that was shown first.
    Text(Class, String),
}

thread_local! {
    static SHOWN: RefCell<Shown> = const { RefCell::new(Shown::Unheard) };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Class::Retryable => f.write_str("to be tried again"),
            Class::RetryAfter(delay) => write!(f, "to be tried again after {delay:?}"),
            Class::Permanent => f.write_str("not to be tried again"),
            Class::Snooze(delay) => write!(f, "snoozed for {delay:?}"),
        }
    }
}

impl Error for Mark {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref().and_then(|error| error.source())
    }
}
