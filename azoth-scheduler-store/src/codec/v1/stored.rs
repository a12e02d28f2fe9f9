//! Stored forms of core's types, and what cannot have been stored.

use std::fmt;

use azoth_scheduler_core::dependency::AfterError;
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::headway::Note;
use azoth_scheduler_core::id::{NameError, TaskId};
use azoth_scheduler_core::scope::RATE_PER_MS_MAX;
use azoth_scheduler_core::time::{Timestamp, TimestampError};

/// The stored form of one of core's types.
pub(super) trait Stored<'a>: Sized {
    type Core: 'a;

    /// Its stored form.
    fn store(core: &'a Self::Core) -> Self;

    /// The value that was stored, if it can be one.
    fn restore(self) -> Result<Self::Core, Invalid>;
}

/// A value that was decoded and cannot have been stored. What it is is in a box: nearly all values are lawful, and most are
/// smaller than what can be said against them.
#[derive(Debug)]
pub(in crate::codec) struct Invalid(Box<Unlawful>);

impl<E> From<E> for Invalid
where
    Unlawful: From<E>,
{
    #[cold]
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What no value can be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unlawful {
    #[error("what it has in common with others: {0}")]
    CommonPart(#[from] bincode::Error),
    #[error(transparent)]
    Time(#[from] TimestampError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("a trace or a span without an id")]
    Trace,
    #[error("a rate over {ms} ms is over the limit of {RATE_PER_MS_MAX}")]
    Rate { ms: u64 },
    #[error(transparent)]
    After(#[from] AfterError),
    #[error("a share of {hundredths} hundredths of a percent is more than the whole")]
    Share { hundredths: u16 },
    #[error("a note of {bytes} bytes is over the limit of {limit}", limit = Note::BYTES_MAX)]
    Note { bytes: usize },
    #[error("a text of {bytes} bytes is over the limit of {limit}", limit = ErrorText::BYTES_MAX)]
    Text { bytes: usize },
}

/// Instants are stored as milliseconds since 1970.
impl Stored<'_> for i64 {
    type Core = Timestamp;

    fn store(at: &Timestamp) -> Self {
        at.unix_ms()
    }

    fn restore(self) -> Result<Timestamp, Invalid> {
        Ok(Timestamp::from_unix_ms(self)?)
    }
}

impl<'a> Stored<'a> for &'a str {
    type Core = ErrorText;

    fn store(text: &'a ErrorText) -> Self {
        text.as_str()
    }

    fn restore(self) -> Result<ErrorText, Invalid> {
        // A longer one would be cut, and would not be what was stored.
        if self.len() > ErrorText::BYTES_MAX {
            return Err(Unlawful::Text { bytes: self.len() }.into());
        }
        Ok(ErrorText::new(self))
    }
}

/// Names of tasks, each as it is.
pub(super) fn names(tasks: &[TaskId]) -> Vec<&str> {
    tasks.iter().map(TaskId::as_str).collect()
}

/// The same, read.
pub(super) fn named(names: Vec<&str>) -> Result<Vec<TaskId>, Invalid> {
    names.into_iter().map(|name| Ok(TaskId::new(name)?)).collect()
}

impl<'a, T: Stored<'a>> Stored<'a> for Option<T> {
    type Core = Option<T::Core>;

    fn store(core: &'a Option<T::Core>) -> Self {
        core.as_ref().map(T::store)
    }

    fn restore(self) -> Result<Option<T::Core>, Invalid> {
        self.map(T::restore).transpose()
    }
}

impl<'a, T: Stored<'a>> Stored<'a> for Vec<T> {
    type Core = Vec<T::Core>;

    fn store(core: &'a Vec<T::Core>) -> Self {
        core.iter().map(T::store).collect()
    }

    fn restore(self) -> Result<Vec<T::Core>, Invalid> {
        self.into_iter().map(T::restore).collect()
    }
}

/// Makes the stored form of an enum without fields: a byte, by the order of its words. A derived `Deserialize` would read the
/// same, by way of a number of any length and a visitor.
macro_rules! stored_words {
    ($($(#[$doc:meta])* $name:ident = $core:ty { $($word:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, serde::Serialize)]
        pub(super) enum $name {
            $($word),*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            #[inline]
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let code = u8::deserialize(deserializer)?;
                match code {
                    $(code if code == $name::$word as u8 => Ok($name::$word),)*
                    other => Err(serde::de::Error::invalid_value(
                        serde::de::Unexpected::Unsigned(other.into()),
                        &concat!("the code of a word of ", stringify!($name)),
                    )),
                }
            }
        }

        impl $crate::codec::v1::stored::Stored<'_> for $name {
            type Core = $core;

            fn store(core: &$core) -> Self {
                match core {
                    $(<$core>::$word => $name::$word),*
                }
            }

            fn restore(self) -> Result<$core, $crate::codec::v1::stored::Invalid> {
                Ok(match self {
                    $($name::$word => <$core>::$word),*
                })
            }
        }
    )*};
}
pub(super) use stored_words;
