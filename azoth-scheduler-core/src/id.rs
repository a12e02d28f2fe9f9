//! Names and numbers that stand for something: parsed once, then trusted.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

#[cfg(feature = "engine")]
use uuid::Uuid;

/// A name that is refused, with the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or only white space.
    #[error("{what} is empty: give 1 to {NAME_BYTES_MAX} bytes of UTF-8")]
    Empty {
        /// Which name, such as `task id`.
        what: &'static str,
    },
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error(
        "{what} has {bytes} bytes, at most {NAME_BYTES_MAX} are allowed: {start:?} and on; shorten it, for example to a digest"
    )]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// Its first characters.
        start: String,
    },
    /// A control character, NUL among them.
    #[error(
        "{what} {name:?} holds the control character U+{code:04X} at byte {offset}: leave it out or escape it"
    )]
    ControlCharacter {
        /// Which name.
        what: &'static str,
        /// The name as given.
        name: String,
        /// The character's code point.
        code: u32,
        /// Where it stands, in bytes from the start.
        offset: usize,
    },
}

/// The most bytes that a task id, a task type, an event type or another name may have.
pub const NAME_BYTES_MAX: usize = 255;

fn parse_name(what: &'static str, text: &str) -> Result<Arc<str>, NameError> {
    if !is_plain(text) {
        check_name(what, text)?;
    }
    Ok(Arc::from(text))
}

/// Whether a name breaks no rule for certain: most are short and have but printable ASCII, and all names of a log are parsed
/// when it is replayed.
fn is_plain(text: &str) -> bool {
    let is_printable = text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    is_printable && text.len() <= NAME_BYTES_MAX && text.bytes().any(|byte| byte != b' ')
}

fn check_name(what: &'static str, text: &str) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > NAME_BYTES_MAX {
        let start = text.chars().take(40).collect();
        return Err(NameError::TooLong { what, bytes: text.len(), start });
    }
    if let Some((offset, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return Err(NameError::ControlCharacter { what, name: text.to_owned(), code: c.into(), offset });
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8, not only white space, without control characters; kept byte for byte.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name, or says which rule it breaks.
            ///
            /// # Errors
            /// [`NameError`] for an empty name, one over 255 bytes, or one with a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                parse_name($what, text.as_ref()).map(Self)
            }

            /// The name as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                String::from(name.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

names! {
    /// The name of a task: the user's, or a UUIDv7 that the library made.
    TaskId, "task id";
    /// What kind of work a task is; the handler that runs it is found by this name.
    TaskType, "task type";
    /// A group of tasks that a program declares together.
    GroupName, "group name";
    /// Tasks with the same key run at most so many at once, in order.
    ConcurrencyKey, "concurrency key";
    /// What kind of event a handler's result is.
    EventType, "event type";
    /// Who reads the log by a durable cursor.
    ConsumerName, "consumer name";
    /// Who said something: an operator, a program, the library itself.
    Actor, "actor";
    /// A caller's name for a wish, so that the same wish again makes no second task.
    IdempotencyKey, "idempotency key";
}

impl Actor {
    /// The library itself, where something follows from what others said.
    pub fn library() -> Self {
        Self(Arc::from("azoth-scheduler"))
    }
}

#[cfg(feature = "engine")]
macro_rules! uuids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these 128 bits. Whoever is outside core mints them (UUIDv7).
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// Its 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

#[cfg(feature = "engine")]
uuids! {
    /// One execution of a task. It is the fencing token: a result under another id than the task's current one is refused.
    ExecutionId;
    /// One incarnation of a worker: a scheduler that was started, until it stops or is declared dead.
    WorkerId;
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn name_of_the_greatest_length_is_kept_and_one_more_byte_is_refused() {
        assert!(TaskId::new("x".repeat(NAME_BYTES_MAX)).is_ok());
        let error = TaskId::new("x".repeat(NAME_BYTES_MAX + 1)).unwrap_err();
        assert!(error.to_string().starts_with("task id has 256 bytes, at most 255 are allowed"), "{error}");
    }

    #[test]
    fn hostile_names_are_kept_byte_for_byte() {
        for name in [
            "'; DROP TABLE azoth_log; --",
            "../../etc/passwd",
            "<script>",
            "\u{202E}evil",
            "名前",
            " padded ",
        ] {
            assert_eq!(TaskId::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn empty_names_and_control_characters_are_refused() {
        assert_eq!(TaskType::new(" \u{3000}"), Err(NameError::Empty { what: "task type" }));
        let error = TaskId::new("a\0b").unwrap_err();
        assert!(error.to_string().contains("U+0000 at byte 1"), "{error}");
    }

    #[test]
    fn names_of_spaces_and_names_beyond_printable_ascii_take_the_long_way_to_the_same_rules() {
        assert_eq!(TaskId::new("   "), Err(NameError::Empty { what: "task id" }));
        for control in ["\u{7f}", "\u{85}", "\u{1f}", "\n"] {
            assert!(matches!(
                TaskId::new(control),
                Err(NameError::Empty { .. } | NameError::ControlCharacter { .. })
            ));
            let within = TaskId::new(alloc::format!("a{control}b"));
            assert!(matches!(within, Err(NameError::ControlCharacter { offset: 1, .. })), "{within:?}");
        }
        for name in ["~", "!", "a b", "é"] {
            assert_eq!(TaskId::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn execution_id_is_written_as_a_uuid() {
        let id = ExecutionId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(id.to_string(), "01900000-0000-7000-8000-000000000001");
    }
}
