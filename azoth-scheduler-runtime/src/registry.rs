//! Which handler runs which task type.

use std::collections::BTreeMap;
use std::sync::Arc;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::scope;

use crate::any_handler::AnyTaskHandler;
use crate::error::{RequestError, Result, SchedulerError};
use crate::handler::TaskOptions;
use crate::limits::Limits;
use crate::request::ScheduleTaskRequest;
use crate::state::StateMap;

/// The handlers of a scheduler, and the types that it knows of without handling them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    handlers: BTreeMap<TaskType, Registered>,
    remote: Vec<TaskType>,
    declared: Vec<ScheduleTaskRequest>,
}

#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) handler: AnyTaskHandler,
    pub(crate) options: TaskOptions,
}

impl Registered {
    fn limits(&self) -> Result<scope::Limits, RequestError> {
        self.options.limits.as_ref().map(Limits::checked).transpose().map(Option::unwrap_or_default)
    }
}

impl Registry {
    /// Takes the handlers, or says which one cannot be registered.
    pub(crate) fn new(handlers: Vec<AnyTaskHandler>, remote: &[String], states: &StateMap) -> Result<Self> {
        let mut registry = Self::default();
        for task_type in remote {
            registry.remote.push(TaskType::new(task_type)?);
        }
        for handler in handlers {
            registry.add(handler, states)?;
        }
        for request in &registry.declared {
            registry.check(request.task_type(), request.payload())?;
        }
        Ok(registry)
    }

    fn add(&mut self, handler: AnyTaskHandler, states: &StateMap) -> Result<()> {
        let task_type = TaskType::new(handler.task_type())?;
        handler
            .check_state(states)
            .map_err(|missing| SchedulerError::MissingState { task_type: task_type.clone(), missing })?;
        let mut names = vec![task_type];
        for alias in handler.aliases() {
            names.push(TaskType::new(alias)?);
        }
        self.declared.extend(handler.schedules()?);
        let registered = Registered { options: handler.options(), handler };
        registered.limits()?;
        for name in names {
            if self.handlers.insert(name.clone(), registered.clone()).is_some() {
                return Err(SchedulerError::DuplicateHandler { task_type: name });
            }
        }
        Ok(())
    }

    /// Whether a task of this type may be scheduled here with this payload.
    pub(crate) fn check(&self, task_type: &TaskType, payload: &[u8]) -> Result<()> {
        if let Some(Registered { handler, .. }) = self.handlers.get(task_type) {
            return handler.validate(payload).map_err(|source| {
                let source = Box::new(source);
                RequestError::Refused { task_type: task_type.clone(), source }.into()
            });
        }
        // A scheduler without handlers is a client: others run what it schedules.
        if self.handlers.is_empty() || self.remote.contains(task_type) {
            return Ok(());
        }
        let known = self.handlers.keys().chain(&self.remote).cloned().collect();
        Err(SchedulerError::HandlerNotFound { task_type: task_type.clone(), known })
    }

    pub(crate) fn find(&self, task_type: &TaskType) -> Option<&Registered> {
        self.handlers.get(task_type)
    }

    /// The tasks that the handlers declare.
    pub(crate) fn declared(&self) -> &[ScheduleTaskRequest] {
        &self.declared
    }

    /// The limits of every type that is handled.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (TaskType, scope::Limits)> + '_ {
        // They were checked when the handler was added.
        self.handlers.iter().filter_map(|(name, registered)| Some((name.clone(), registered.limits().ok()?)))
    }

    /// Whether no type is handled.
    pub(crate) fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    /// Every type that is handled, aliases included.
    pub(crate) fn task_types(&self) -> Arc<[TaskType]> {
        self.handlers.keys().cloned().collect()
    }
}
