//! A batch: its commands are decided and recorded, and due tasks are claimed for its offer.

use azoth_scheduler_core::command::{Command, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::time::Timestamp;

use super::group::Group;
use super::{claim, gate};
use crate::error::StoreError;
use crate::store::{Applied, Batch};

impl Group<'_> {
    /// Decides and records a batch, then claims for its offer. One append to the chain; a single event is left to whoever appends
    /// next: what comes of it, or the end of the group. The rows of its tasks are written by whoever asks for them next, or with
    /// the end of the group: what is claimed as soon as it is scheduled is written once.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<Applied, StoreError> {
        let mut answers = Vec::with_capacity(batch.commands.len());
        for command in &batch.commands {
            answers.push(match command {
                Command::Task(command) => self.asked(command, batch.now)?,
                Command::Scope(command) => self.scope_command(command, batch.now)?,
            });
        }
        let claims = match &batch.offer {
            Some(offer) => Some(claim::claim(self, offer, batch.now)?),
            None => None,
        };
        self.append_unless_single()?;
        assert_eq!(answers.len(), batch.commands.len(), "each command has an answer");
        Ok(Applied { answers, claims })
    }

    /// What somebody asks for: a claim of his own is held back as others are.
    fn asked(
        &mut self,
        command: &TaskCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        if matches!(command.wish, Wish::Claim { .. }) && gate::holds_back(self, &command.task, now)? {
            return Ok(Err(Rejection::HeldBack { task: command.task.clone(), now }));
        }
        self.command(command, now)
    }
}
