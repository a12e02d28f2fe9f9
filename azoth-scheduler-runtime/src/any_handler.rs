//! Handlers of every kind, registered and asked the same way.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::context::TaskContext;
use crate::error::Result;
use crate::handler::{BlockingTaskHandler, TaskHandler, TaskOptions};
use crate::request::ScheduleTaskRequest;
use crate::state::{MissingState, StateMap};
use crate::task_error::{TaskError, TaskResult};

/// A handler of either kind, as `with_task_handler` takes it. Made by [`IntoTaskHandler`].
#[derive(Clone)]
pub struct AnyTaskHandler(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Async(Arc<dyn TaskHandler>),
    Blocking(Arc<dyn BlockingTaskHandler<TaskError>>),
}

/// What can be registered as a task handler: a [`TaskHandler`], a [`BlockingTaskHandler`] with whatever error, or an
/// [`AnyTaskHandler`]. `Marker` only tells them apart; it is never written.
pub trait IntoTaskHandler<Marker>: sealed::Sealed<Marker> {
    /// The handler, whichever kind it is.
    fn into_task_handler(self) -> AnyTaskHandler;
}

impl<H: TaskHandler> IntoTaskHandler<marker::Async> for H {
    fn into_task_handler(self) -> AnyTaskHandler {
        AnyTaskHandler(Kind::Async(Arc::new(self)))
    }
}

impl<H, E> IntoTaskHandler<marker::Blocking<E>> for H
where
    H: BlockingTaskHandler<E>,
    E: Into<TaskError> + 'static,
{
    fn into_task_handler(self) -> AnyTaskHandler {
        AnyTaskHandler(Kind::Blocking(Arc::new(AnyError { handler: self, error: PhantomData })))
    }
}

impl IntoTaskHandler<marker::Any> for AnyTaskHandler {
    fn into_task_handler(self) -> AnyTaskHandler {
        self
    }
}

/// Both kinds have these; only the way in which they are run differs.
macro_rules! ask {
    ($handler:expr, $($question:tt)*) => {
        match &$handler.0 {
            Kind::Async(handler) => handler.$($question)*,
            Kind::Blocking(handler) => handler.$($question)*,
        }
    };
}

impl AnyTaskHandler {
    pub(crate) fn task_type(&self) -> &str {
        ask!(self, task_type())
    }

    pub(crate) fn validate(&self, payload: &[u8]) -> Result<()> {
        ask!(self, validate(payload))
    }

    pub(crate) fn aliases(&self) -> &[&str] {
        ask!(self, aliases())
    }

    pub(crate) fn options(&self) -> TaskOptions {
        ask!(self, options())
    }

    pub(crate) fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        ask!(self, schedules())
    }

    pub(crate) fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        ask!(self, check_state(states))
    }
}

impl std::fmt::Debug for AnyTaskHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnyTaskHandler({:?})", self.task_type())
    }
}

/// A blocking handler whose error was made one that every other converts into.
struct AnyError<H, E> {
    handler: H,
    error: PhantomData<fn() -> E>,
}

impl<H: BlockingTaskHandler<E>, E: Into<TaskError> + 'static> BlockingTaskHandler<TaskError>
    for AnyError<H, E>
{
    fn task_type(&self) -> &str {
        self.handler.task_type()
    }

    fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        self.handler.execute(ctx, payload).map_err(Into::into)
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        self.handler.validate(payload)
    }

    fn aliases(&self) -> &[&str] {
        self.handler.aliases()
    }

    fn options(&self) -> TaskOptions {
        self.handler.options()
    }

    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        self.handler.schedules()
    }

    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        self.handler.check_state(states)
    }
}

/// Tells the implementations of [`IntoTaskHandler`] apart.
pub mod marker {
    use std::marker::PhantomData;

    /// A [`TaskHandler`](super::TaskHandler).
    #[derive(Debug)]
    pub struct Async;
    /// A [`BlockingTaskHandler`](super::BlockingTaskHandler) with this error.
    #[derive(Debug)]
    pub struct Blocking<E>(PhantomData<E>);
    /// An [`AnyTaskHandler`](super::AnyTaskHandler).
    #[derive(Debug)]
    pub struct Any;
}

mod sealed {
    use super::{AnyTaskHandler, BlockingTaskHandler, TaskError, TaskHandler, marker};

    pub trait Sealed<Marker> {}

    impl<H: TaskHandler> Sealed<marker::Async> for H {}
    impl<H: BlockingTaskHandler<E>, E: Into<TaskError>> Sealed<marker::Blocking<E>> for H {}
    impl Sealed<marker::Any> for AnyTaskHandler {}
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::event::TaskEvent;

    struct Plain;
    struct WithAnyhow;
    struct Asynchronous;

    impl BlockingTaskHandler for Plain {
        fn task_type(&self) -> &str {
            "plain"
        }

        fn execute(&self, _ctx: &TaskContext, payload: &[u8]) -> Result<TaskEvent> {
            let number: u8 = std::str::from_utf8(payload)?.parse()?;
            TaskEvent::new("counted", [number])
        }
    }

    impl BlockingTaskHandler<anyhow::Error> for WithAnyhow {
        fn task_type(&self) -> &str {
            "anyhow"
        }

        fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> anyhow::Result<TaskEvent> {
            anyhow::bail!("no luck")
        }
    }

    #[async_trait]
    impl TaskHandler for Asynchronous {
        fn task_type(&self) -> &str {
            "async"
        }

        async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
            Err(anyhow::anyhow!("no luck"))?
        }
    }

    fn type_of<M>(handler: impl IntoTaskHandler<M>) -> String {
        handler.into_task_handler().task_type().to_owned()
    }

    #[test]
    fn every_kind_of_handler_is_registered_the_same_way() {
        let shared: Arc<dyn TaskHandler> = Arc::new(Asynchronous);
        let types = [type_of(Plain), type_of(WithAnyhow), type_of(Asynchronous), type_of(shared)];
        assert_eq!(types, ["plain", "anyhow", "async", "async"]);
        assert_eq!(type_of(Plain.into_task_handler()), "plain");
    }
}
