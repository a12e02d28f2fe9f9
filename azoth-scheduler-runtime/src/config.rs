//! The settings of a scheduler, with their defaults and ranges.

use std::collections::BTreeMap;
use std::time::Duration;

use azoth_scheduler_core::id::Actor;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::Scope;

use crate::error::{Result, SchedulerError};
use crate::limits::Limits;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) poll_interval: Duration,
    pub(crate) max_concurrent_tasks: usize,
    pub(crate) default_max_retries: u32,
    pub(crate) default_timeout: Duration,
    pub(crate) max_payload_bytes: usize,
    pub(crate) shutdown_grace: Duration,
    pub(crate) lease: Duration,
    pub(crate) actor: String,
    /// What is let go, and how often that is looked at.
    pub(crate) retention: Option<(RetentionPolicy, Duration)>,
    /// Declared when the scheduler starts to run.
    pub(crate) limits: BTreeMap<Scope, Limits>,
}

impl Config {
    pub(crate) fn check(&self) -> Result<Actor> {
        let second = Duration::from_secs(1);
        let span = |setting, value: Duration, least: Duration, most: Duration, allowed| {
            let fits = (least..=most).contains(&value);
            check(fits, setting, format!("{value:?}"), allowed)
        };
        let ms = Duration::from_millis(1);
        span("with_poll_interval", self.poll_interval, ms, 3600 * second, "1 ms to 1 hour")?;
        span("with_lease", self.lease, 100 * ms, 3600 * second, "100 ms to 1 hour")?;
        span("with_shutdown_grace", self.shutdown_grace, Duration::ZERO, 86_400 * second, "0 to 24 hours")?;
        span(
            "with_default_timeout_secs",
            self.default_timeout,
            ms,
            365 * 86_400 * second,
            "1 s to 365 days",
        )?;
        if let Some((_, every)) = self.retention {
            span("with_retention", every, second, 365 * 86_400 * second, "1 s to 365 days")?;
        }
        let slots = self.max_concurrent_tasks;
        let fits = (1..=SLOTS_MAX).contains(&slots);
        check(fits, "with_max_concurrent_tasks", slots.to_string(), "1 to 100000")?;
        for (scope, limits) in &self.limits {
            let refused = |error| SchedulerError::Rejected(Rejection::Limits { scope: scope.clone(), error });
            limits.checked()?.check(scope).map_err(refused)?;
        }
        Ok(Actor::new(&self.actor)?)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            max_concurrent_tasks: 10,
            default_max_retries: 3,
            default_timeout: Duration::from_secs(300),
            max_payload_bytes: 1024 * 1024,
            shutdown_grace: Duration::from_secs(30),
            lease: Duration::from_secs(15),
            actor: "program".to_owned(),
            retention: None,
            limits: BTreeMap::new(),
        }
    }
}

fn check(fits: bool, setting: &'static str, value: String, allowed: &'static str) -> Result<()> {
    let remedy = "give a value within this range, or leave the setting out";
    if fits { Ok(()) } else { Err(SchedulerError::InvalidSetting { setting, value, allowed, remedy }) }
}

const SLOTS_MAX: usize = 100_000;
