//! A cron expression and its time zone, as a definition holds them.

use alloc::sync::Arc;

use super::cron::CronExpression;
use super::error::{ScheduleError, excerpt};
use super::search::CronSearch;
use super::zone::{Zone, canonical_name};

/// A cron expression and its time zone, both as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSpec {
    expression: Arc<str>,
    zone: Arc<str>,
}

impl CronSpec {
    /// Takes an expression that can fire, and the IANA name of a zone in any case.
    ///
    /// ```
    /// use azoth_scheduler_core::schedule::CronSpec;
    ///
    /// let spec = CronSpec::new("@daily", "europe/berlin")?;
    /// assert_eq!(spec.zone(), "Europe/Berlin");
    /// assert!(CronSpec::new("0 0 0 30 2 *", "UTC").unwrap_err().to_string().contains("never fires"));
    /// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
    /// ```
    ///
    /// # Errors
    /// What [`CronExpression::parse`] says, [`ScheduleError::NeverFires`] or [`ScheduleError::UnknownZone`].
    pub fn new(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parsed = CronExpression::parse(expression)?;
        let expression = expression.trim_matches([' ', '\t']);
        if !parsed.can_fire() {
            return Err(ScheduleError::NeverFires { text: excerpt(expression) });
        }
        Ok(Self::from_stored(expression, canonical_name(zone)?))
    }

    /// What [`expression`](Self::expression) and [`zone`](Self::zone) gave when it was stored. Nothing is checked, so
    /// that a replay reads neither text; [`Schedule::calendar`](super::Schedule::calendar) says what is wrong with them.
    pub fn from_stored(expression: &str, zone: &str) -> Self {
        Self { expression: Arc::from(expression), zone: Arc::from(zone) }
    }

    /// The expression as given, without blanks around it.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's IANA name in canonical case.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Reads both texts for a search.
    pub(super) fn search(&self) -> Result<CronSearch, ScheduleError> {
        let expression = CronExpression::parse(&self.expression)?;
        if !expression.can_fire() {
            return Err(ScheduleError::NeverFires { text: excerpt(&self.expression) });
        }
        Ok(CronSearch::new(expression, Zone::new(&self.zone)?))
    }
}
