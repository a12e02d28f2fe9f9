//! What the code that `#[task_handler]` writes stands on, and `task_handlers!`. Not for use by hand: any release may
//! change it. By hand the same is written with the public names.

use std::convert::Infallible;
use std::error::Error;
use std::marker::PhantomData;
use std::pin::Pin;

use serde::de::DeserializeOwned;

pub use azoth_scheduler_core::task::Priority;
pub use serde::Serialize;

pub use crate::{
    AnyTaskHandler, BlockingTaskHandler, IntoTaskHandler, MissingState, Result, ScheduleTaskRequest,
    ScheduleTaskRequestBuilder, SchedulerError, StateMap, TaskContext, TaskError, TaskEvent, TaskHandler,
    TaskOptions, TaskResult,
};

use crate::mark::Permanent;
use crate::redaction::without_json_values;

/// Several task handlers at once, of whatever kinds, for `with_task_handlers`.
///
/// ```
/// use azoth_scheduler_runtime::{BlockingTaskHandler, Result, TaskContext, TaskEvent, task_handlers};
///
/// struct Report(&'static str);
///
/// impl BlockingTaskHandler for Report {
///     fn task_type(&self) -> &str {
///         self.0
///     }
///
///     fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
///         TaskEvent::new("reported", [])
///     }
/// }
///
/// let handlers = task_handlers![Report("daily"), Report("weekly")];
/// assert_eq!(handlers.len(), 2);
/// ```
#[macro_export]
macro_rules! task_handlers {
    ($($handler:expr),* $(,)?) => {
        <::std::vec::Vec<$crate::__private::AnyTaskHandler>>::from([
            $($crate::__private::IntoTaskHandler::into_task_handler($handler)),*
        ])
    };
}

/// What `execute` of an async handler returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request of this type with a handler's options.
pub fn request(
    id: impl Into<String>,
    task_type: &str,
    options: &TaskOptions,
    payload: Vec<u8>,
) -> ScheduleTaskRequestBuilder {
    let mut request = ScheduleTaskRequest::builder(id).task_type(task_type).payload(payload);
    if let Some(retries) = options.max_retries {
        request = request.max_retries(retries);
    }
    if let Some(timeout) = options.timeout {
        request = request.timeout(timeout);
    }
    if let Some(backoff) = options.backoff {
        request = request.backoff_policy(backoff);
    }
    if let Some(priority) = options.priority {
        request = request.priority(priority);
    }
    request
}

/// A payload as it is stored: JSON, from version 2 on with the version in front, as in `v2:{"to":"ada"}`. No JSON
/// text starts with a `v`, so what was stored without a version is told apart for certain; it is of version 1.
///
/// # Errors
/// [`SchedulerError::InvalidTask`] for a value that JSON cannot hold.
pub fn encode<T: Serialize + ?Sized>(payload: &T, version: u32) -> Result<Vec<u8>> {
    let json = crate::event::to_json(payload)?;
    if version == 1 {
        return Ok(json);
    }
    let mut bytes = format!("v{version}:").into_bytes();
    bytes.extend(json);
    Ok(bytes)
}

/// A stored payload of a version that its handler reads.
#[derive(Debug)]
pub struct Stored<'a> {
    version: u32,
    json: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Takes the version off.
    ///
    /// # Errors
    /// A version that lies outside those that the handler reads.
    pub fn read(bytes: &'a [u8], oldest: u32, newest: u32) -> Result<Self, PayloadError> {
        let (version, json) = versioned(bytes).unwrap_or((1, bytes));
        if version > newest {
            return Err(PayloadError(Fault::Newer { version, newest }));
        }
        if version < oldest {
            return Err(PayloadError(Fault::Older { version, oldest }));
        }
        Ok(Self { version, json })
    }

    /// Its version, within the bounds given.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Its value.
    ///
    /// # Errors
    /// JSON that does not fit the type. The text shows nothing of the payload.
    pub fn json<T: JsonPayload>(&self) -> Result<T, PayloadError> {
        serde_json::from_slice(self.json).map_err(|error| {
            let problem = without_json_values(error.to_string());
            PayloadError(Fault::Json { type_name: std::any::type_name::<T>(), problem })
        })
    }
}

/// What can be a payload that is read from JSON.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the payload of a task",
    label = "this is not read from JSON",
    note = "a payload implements `serde::Deserialize` and borrows nothing: derive it, or take the bytes as `&[u8]`",
    note = "a value that all tasks share is taken as `State<{Self}>`"
)]
pub trait JsonPayload: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> JsonPayload for T {}

/// `v<version>:<json>`.
fn versioned(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let rest = bytes.strip_prefix(b"v")?;
    let colon = rest.iter().take(VERSION_DIGITS_MAX + 1).position(|byte| *byte == b':')?;
    let (version, json) = rest.split_at_checked(colon)?;
    let version = std::str::from_utf8(version).ok()?.parse().ok()?;
    Some((version, json.get(1..)?))
}

/// What an upgrade returned, or why it could not.
///
/// # Errors
/// The upgrade's own.
pub fn upgraded<T, E>(from: u32, result: Result<T, E>) -> Result<T, PayloadError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    result.map_err(|error| PayloadError(Fault::Upgrade { from, error: error.into() }))
}

/// For a handler that takes no payload.
///
/// # Errors
/// A payload all the same.
pub fn expect_no_payload(payload: &[u8]) -> Result<()> {
    if payload.is_empty() {
        return Ok(());
    }
    Err(PayloadError(Fault::NotEmpty { bytes: payload.len() }).into())
}

/// Why a payload cannot be given to its handler. Converted into a handler's failure it is permanent, except where
/// another release could read the payload.
// It does not implement `Error` itself, so that it chooses what it is converted into.
#[derive(Debug)]
pub struct PayloadError(Fault);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the payload cannot be read as {type_name}: {problem}")]
    Json { type_name: &'static str, problem: String },
    #[error(
        "the payload is of version {version}, this handler reads versions up to {newest}: a newer release scheduled it, and can run it"
    )]
    Newer { version: u32, newest: u32 },
    #[error(
        "the payload is of version {version}, this handler reads versions from {oldest} on: add an upgrade from version {version}, or schedule the task anew"
    )]
    Older { version: u32, oldest: u32 },
    #[error("the payload of version {from} cannot be upgraded: {error}")]
    Upgrade { from: u32, error: Box<dyn Error + Send + Sync> },
    #[error("this handler takes no payload, {bytes} bytes were given: leave the payload out")]
    NotEmpty { bytes: usize },
}

impl From<PayloadError> for Box<dyn Error + Send + Sync> {
    fn from(PayloadError(fault): PayloadError) -> Self {
        match fault {
            Fault::Newer { .. } => fault.into(),
            Fault::Json { .. } | Fault::Older { .. } | Fault::Upgrade { .. } | Fault::NotEmpty { .. } => {
                Permanent::new(fault).into()
            }
        }
    }
}

impl From<PayloadError> for SchedulerError {
    fn from(error: PayloadError) -> Self {
        SchedulerError::handler(error)
    }
}

/// What a function returned, before it is known whether that is a `Result`.
///
/// A macro sees how a type is written, not what it is: `anyhow::Result<T>`, an alias of one's own and `Result<T, E>`
/// are all one. So the compiler is asked. `split` of a `Result` is the inherent method below, which comes before that
/// of the trait [`PlainReturn`], which everything else has.
#[derive(Debug)]
pub struct Returned<T>(pub T);

impl<T, E> Returned<Result<T, E>> {
    /// The result itself.
    ///
    /// # Errors
    /// The error that was returned.
    pub fn split(self) -> Result<T, E> {
        self.0
    }
}

/// Whatever is no `Result` succeeds.
pub trait PlainReturn {
    /// What was returned.
    type Value;

    /// The value.
    ///
    /// # Errors
    /// None.
    fn split(self) -> Result<Self::Value, Infallible>;
}

impl<T> PlainReturn for Returned<T> {
    type Value = T;

    fn split(self) -> Result<T, Infallible> {
        Ok(self.0)
    }
}

/// The type of what succeeded; told apart in the same way, by its method `kind`.
#[derive(Debug)]
pub struct ReturnedValue<T>(PhantomData<fn() -> T>);

impl<T> ReturnedValue<T> {
    /// The type of this value.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

impl ReturnedValue<TaskEvent> {
    /// An event is recorded as it is.
    pub fn kind(&self) -> OwnEvent {
        OwnEvent
    }
}

impl ReturnedValue<()> {
    /// Nothing is an event without bytes.
    pub fn kind(&self) -> NoValue {
        NoValue
    }
}

/// Every other value is recorded as JSON.
pub trait JsonReturn {
    /// What becomes of it.
    fn kind(&self) -> JsonValue;
}

impl<T> JsonReturn for ReturnedValue<T> {
    fn kind(&self) -> JsonValue {
        JsonValue
    }
}

/// How an event is made of a value.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be the event of a task",
    label = "this is not written as JSON",
    note = "a task handler returns nothing, a `TaskEvent`, a value that implements `serde::Serialize`, or a `Result` of one of them: derive it"
)]
pub trait IntoEvent<T> {
    /// The event of this type, unless the value is one.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    fn into_event(self, value: T, event_type: &str) -> Result<TaskEvent>;
}

/// The value is the event.
#[derive(Debug)]
pub struct OwnEvent;
/// There is no value.
#[derive(Debug)]
pub struct NoValue;
/// The value is written as JSON.
#[derive(Debug)]
pub struct JsonValue;

impl IntoEvent<TaskEvent> for OwnEvent {
    fn into_event(self, value: TaskEvent, _: &str) -> Result<TaskEvent> {
        Ok(value)
    }
}

impl IntoEvent<()> for NoValue {
    fn into_event(self, (): (), event_type: &str) -> Result<TaskEvent> {
        TaskEvent::new(event_type, [])
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> IntoEvent<T> for JsonValue {
    fn into_event(self, value: T, event_type: &str) -> Result<TaskEvent> {
        TaskEvent::json(event_type, &value)
    }
}

/// The end of a handler that succeeded. A value that cannot be written now could not be written the next time.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn succeeded<K: IntoEvent<T>, T>(kind: K, value: T, event_type: &str) -> TaskResult {
    kind.into_event(value, event_type).map_err(TaskError::permanent)
}

/// What can be a handler's error: whatever converts into [`TaskError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task handler",
    label = "this does not convert into `TaskError`",
    note = "every type does that converts into `Box<dyn std::error::Error + Send + Sync>`, such as errors, `anyhow::Error` and `String`: implement `std::error::Error` for it, or add `+ Send + Sync` to a `dyn Error`"
)]
pub trait HandlerError {
    /// The failure.
    fn into_task_error(self) -> TaskError;
}

#[diagnostic::do_not_recommend]
impl<E> HandlerError for E
where
    TaskError: From<E>,
{
    fn into_task_error(self) -> TaskError {
        self.into()
    }
}

/// The end of a handler that failed.
///
/// # Errors
/// Always: the error that was given.
pub fn failed<E: HandlerError>(error: E) -> TaskResult {
    Err(error.into_task_error())
}

/// The digits of the greatest version.
const VERSION_DIGITS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], oldest: u32, newest: u32) -> Result<(u32, String), String> {
        let stored = Stored::read(bytes, oldest, newest).map_err(|error| error.0.to_string())?;
        Ok((stored.version(), String::from_utf8_lossy(stored.json).into_owned()))
    }

    #[test]
    fn payload_without_a_version_is_of_version_1() {
        assert_eq!(encode(&7, 1).unwrap(), b"7");
        for bytes in ["7", "", "{\"v2\":1}", "vv", "v2", "v:1", "v-1:1", "v99999999999:1"] {
            assert_eq!(read(bytes.as_bytes(), 1, 2), Ok((1, bytes.to_owned())), "{bytes}");
        }
    }

    #[test]
    fn version_travels_in_front_of_the_json() {
        let bytes = encode("a", 4_294_967_295).unwrap();
        assert_eq!(bytes, b"v4294967295:\"a\"");
        assert_eq!(read(&bytes, 1, u32::MAX), Ok((u32::MAX, "\"a\"".to_owned())));
    }

    #[test]
    fn newer_payload_is_tried_again_and_an_older_one_is_not() {
        let newer = TaskError::from(Stored::read(b"v3:1", 1, 2).unwrap_err());
        assert!(!newer.is_permanent() && newer.to_string().contains("version 3"), "{newer}");
        let older = TaskError::from(Stored::read(b"1", 2, 3).unwrap_err());
        assert!(older.is_permanent() && older.to_string().contains("version 1"), "{older}");
    }

    #[test]
    fn payload_that_does_not_fit_is_permanent_and_not_shown() {
        let stored = Stored::read(b"\"hunter2\"", 1, 1).unwrap();
        let error = TaskError::from(stored.json::<u32>().unwrap_err());
        assert!(error.is_permanent());
        assert_eq!(
            error.to_string(),
            "the payload cannot be read as u32: invalid type: (not shown), expected u32 at line 1 column 9"
        );
    }

    type Renamed<T> = Result<T, std::num::ParseIntError>;

    #[test]
    fn result_is_told_from_a_plain_value_whatever_its_name() {
        let failing: Renamed<u8> = "x".parse();
        assert!(Returned(failing).split().is_err());
        let Ok(value) = Returned(Some(1u8)).split();
        assert_eq!(value, Some(1));
    }

    #[test]
    fn events_nothing_and_other_values_are_told_apart() {
        let own = TaskEvent::new("own", [1]).unwrap();
        let kind = ReturnedValue::of(&own).kind();
        assert_eq!(succeeded(kind, own.clone(), "other").unwrap(), own);
        let nothing = succeeded(ReturnedValue::of(&()).kind(), (), "done").unwrap();
        assert_eq!((nothing.event_type(), nothing.payload()), ("done", &[][..]));
        let none = None::<u8>;
        let null = succeeded(ReturnedValue::of(&none).kind(), none, "done").unwrap();
        assert_eq!(null.payload(), b"null");
    }
}
