//! The `#[task_handler]` attribute of azoth-scheduler. Use it through the facade crate, as
//! `azoth_scheduler::task_handler`.
//!
//! | room | what happens there |
//! |---|---|
//! | `args` | the arguments are read, one by one |
//! | `parameters`, `values`, `check` | they and the function are judged, by the library's own parsers |
//! | `model` | what is known then |
//! | `expand`, `fallback` | the handler is written, or the least of it beside the faults |
//!
//! The function itself is handed on token by token. All that is emitted beside it names what it needs by absolute paths
//! into one hidden module of the runtime, so it means the same wherever it stands.

mod args;
mod check;
mod errors;
mod expand;
mod fallback;
mod model;
mod parameters;
#[cfg(test)]
mod tests;
mod values;

use proc_macro::TokenStream;

/// Makes a task handler of a plain function.
///
/// The function stays what it is: it can be called, and tested with plain arguments. Beside it, and as visible as it,
/// stands the handler's type, `SendEmail` for `send_email`. It is registered by `with_task_handler(SendEmail)`, or several
/// at once by `with_task_handlers(task_handlers![SendEmail, NightlyReport])`.
///
/// ```
/// use azoth_scheduler::{MemoryStore, Scheduler, State, TaskContext, task_handler};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Email {
///     to: String,
/// }
///
/// #[derive(Serialize)]
/// struct Sent {
///     attempt: u32,
/// }
///
/// struct Mailer;
///
/// #[task_handler(event = "email_sent", timeout = "30s", max_retries = 5)]
/// async fn send_email(ctx: &TaskContext, email: Email, mailer: State<Mailer>) -> anyhow::Result<Sent> {
///     anyhow::ensure!(email.to.contains('@'), "{} is no address", email.to);
///     Ok(Sent { attempt: ctx.attempt() })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> azoth_scheduler::Result<()> {
/// let scheduler = Scheduler::builder(MemoryStore::new()).with_state(Mailer).with_task_handler(SendEmail).build()?;
/// let email = Email { to: "ada@example.org".into() };
/// scheduler.schedule_task(SendEmail::request("welcome-42", &email)?.immediate().build()?).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Parameters
/// In any order, told by how their types are written:
///
/// | written | given |
/// |---|---|
/// | `&TaskContext` | the execution's context |
/// | `State<T>`, any number | the value registered by `with_state`; a missing one is an error of `build()` |
/// | `&[u8]` or `Vec<u8>` | the payload as it is |
/// | any other type, at most one | the payload, read from JSON by `serde::Deserialize` |
///
/// A payload that cannot be read is refused when it is scheduled; if that was not asked then, it is a permanent failure.
/// A function without a payload refuses every payload. There are no generics, and no `self`.
///
/// # What it returns
/// Nothing, a `TaskEvent`, or any `serde::Serialize`; or a `Result` of one of them with any error that converts into
/// `Box<dyn Error + Send + Sync>`. Nothing becomes an event without bytes, a value becomes one of its JSON. Which it is,
/// is asked of the compiler and not of the spelling, so `anyhow::Result`, `TaskResult` and aliases of one's own are
/// results like any other. An `async fn` runs on the async runtime; a plain `fn` on a thread where it may block.
///
/// # Arguments
///
/// | argument | meaning | left out |
/// |---|---|---|
/// | `task_type = "send_email"` | the type of its tasks | the function's name |
/// | `aliases = ["mail"]` | other types that it runs too, such as an earlier name | none |
/// | `event = "email_sent"` | the type of its event | the task type with `.succeeded` |
/// | `timeout = "30s"` | how long an attempt may take | as the scheduler says |
/// | `max_retries = 5` | retries after the first attempt | as the scheduler says |
/// | `backoff = "10s..1h"` | the first wait before a retry, doubled each time, and the longest | as the scheduler says |
/// | `concurrency = 4` | at most so many tasks of the type run at once, over all processes on the store | no limit |
/// | `priority = "high"` | one of `critical`, `high`, `normal`, `low` | `normal` |
/// | `cron = "0 0 9 * * 1-5"` | a task without payload is scheduled whenever the scheduler starts to run; its id is the task type | none |
/// | `time_zone = "Europe/Berlin"` | the zone of `cron` | UTC |
/// | `version = 2`, `upgrade = ..` | see below | version 1 |
/// | `name = SendEmailHandler` | the name of the type | that of the function in `UpperCamelCase` |
/// | `crate = "path"` | where the library is, if not at `::azoth_scheduler`: another name for it, or `azoth_scheduler_runtime` | |
///
/// A cron expression or a duration that is wrong does not compile. The options hold for all tasks of the type;
/// `SendEmail::request` gives them to each request too, where they can be overridden.
///
/// # When a payload changes
/// Tasks that the last release scheduled hold the payload as it was then. A field that is added with `#[serde(default)]`
/// needs nothing more. For all else, count the versions up and say how to come from the last one to this one:
///
/// ```
/// use azoth_scheduler::{BlockingTaskHandler, task_handler};
///
/// #[derive(serde::Deserialize)]
/// struct EmailV1 {
///     to: String,
/// }
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Email {
///     to: Vec<String>,
/// }
///
/// fn several(email: EmailV1) -> Email {
///     Email { to: vec![email.to] }
/// }
///
/// #[task_handler(version = 2, upgrade = several)]
/// fn send_email(email: Email) -> usize {
///     email.to.len()
/// }
///
/// // Payloads without a version are of version 1; from version 2 on it stands in front of the JSON.
/// assert!(SendEmail.validate(br#"{"to":"ada"}"#).is_ok());
/// let request = SendEmail::request("id", &Email { to: vec!["ada".into()] })?.immediate().build()?;
/// assert_eq!(request.payload(), br#"v2:{"to":["ada"]}"#);
/// # Ok::<(), azoth_scheduler::SchedulerError>(())
/// ```
///
/// `upgrade` is a function or a closure that returns the next version, or a `Result` of it. A chain is a list,
/// `version = 3, upgrade = [first_to_second, second_to_third]`; its last step leads to this version. What no step leads
/// on from is refused, and `upgrade = []` refuses all that is earlier. A payload of a later version than this is a failure
/// that is retried: a newer release scheduled it, and may run it.
///
/// # The same by hand
/// Left what is written, right what stands for it. Whatever the attribute writes, a person can write.
///
/// <table><tr><td>
///
/// ```
/// # use azoth_scheduler::{State, TaskContext, task_handler};
/// # #[derive(serde::Serialize, serde::Deserialize)] pub struct Email { to: String }
/// # #[derive(serde::Serialize)] pub struct Sent { attempt: u32 }
/// # pub struct Mailer;
/// #[task_handler(
///     event = "email_sent",
///     timeout = "30s",
///     max_retries = 5
/// )]
/// pub async fn send_email(
///     ctx: &TaskContext,
///     email: Email,
///     mailer: State<Mailer>,
/// ) -> anyhow::Result<Sent> {
///     Ok(Sent { attempt: ctx.attempt() })
/// }
/// # let _ = SendEmail::TASK_TYPE;
/// ```
///
/// </td><td>
///
/// ```
/// # use std::time::Duration;
/// # use azoth_scheduler::{
/// #     MissingState, Permanent, Result, ScheduleTaskRequest, ScheduleTaskRequestBuilder, State, StateMap,
/// #     TaskContext, TaskEvent, TaskHandler, TaskOptions, TaskResult,
/// # };
/// # #[derive(serde::Serialize, serde::Deserialize)] pub struct Email { to: String }
/// # #[derive(serde::Serialize)] pub struct Sent { attempt: u32 }
/// # pub struct Mailer;
/// pub async fn send_email(
///     ctx: &TaskContext,
///     email: Email,
///     mailer: State<Mailer>,
/// ) -> anyhow::Result<Sent> {
///     Ok(Sent { attempt: ctx.attempt() })
/// }
///
/// #[derive(Clone, Copy, Debug, Default)]
/// pub struct SendEmail;
///
/// impl SendEmail {
///     pub const TASK_TYPE: &'static str = "send_email";
///
///     pub fn request(
///         id: impl Into<String>,
///         payload: &Email,
///     ) -> Result<ScheduleTaskRequestBuilder> {
///         Ok(ScheduleTaskRequest::builder(id)
///             .task_type(Self::TASK_TYPE)
///             .payload(serde_json::to_vec(payload)?)
///             .timeout(Duration::from_secs(30))
///             .max_retries(5))
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl TaskHandler for SendEmail {
///     fn task_type(&self) -> &str {
///         Self::TASK_TYPE
///     }
///
///     async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
///         let email = serde_json::from_slice(payload).map_err(Permanent::new)?;
///         let sent = send_email(ctx, email, ctx.state()?).await?;
///         Ok(TaskEvent::json("email_sent", &sent)?)
///     }
///
///     fn validate(&self, payload: &[u8]) -> Result<()> {
///         serde_json::from_slice::<Email>(payload)?;
///         Ok(())
///     }
///
///     fn options(&self) -> TaskOptions {
///         TaskOptions::new().timeout(Duration::from_secs(30)).max_retries(5)
///     }
///
///     fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
///         states.require::<Mailer>()?;
///         Ok(())
///     }
/// }
/// ```
///
/// </td></tr></table>
///
/// For a plain `fn` it is the same with `BlockingTaskHandler<TaskError>`; `aliases` and `cron` become the trait's methods
/// `aliases` and `schedules`.
#[proc_macro_attribute]
pub fn task_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    handler(args.into(), item.into()).into()
}

/// The function as it was, and its handler or its faults.
fn handler(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut errors = errors::Errors::default();
    let args = args::Args::parse(args, &mut errors);
    let handler = match syn::parse2::<model::Function>(item.clone()) {
        Ok(function) => check::check(args, function, &mut errors),
        Err(_) => {
            let message = "#[task_handler] belongs on a function: put it above `async fn` or `fn`";
            errors.push(proc_macro2::Span::call_site(), message);
            None
        }
    };
    let write = if errors.is_empty() { expand::expand } else { fallback::expand };
    let (faults, rest) = (errors.to_tokens(), handler.as_ref().map(write));
    quote::quote!(#item #faults #rest)
}
