//! What holds an event handler within the transaction that it was lent: it cannot end the transaction, run beyond its
//! time, or write our tables.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// The fence stands as long as this lives.
#[must_use]
pub(super) struct Fence<'a> {
    conn: &'a Connection,
    deadline: Instant,
}

impl<'a> Fence<'a> {
    /// Puts the fence up around whatever runs on this connection.
    pub(super) fn put_up(conn: &'a Connection, time: Duration) -> Self {
        let deadline = Instant::now() + time;
        // In some versions of the driver these give nothing, in others a result that is only ever an error for a
        // connection that somebody else owns.
        let _ = conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() >= deadline));
        // A statement that is interrupted may take its transaction with it; the next one would then commit by itself.
        let _ = conn.commit_hook(Some(|| true));
        let _ = conn.authorizer(Some(judge));
        Self { conn, deadline }
    }

    /// Whether the time is up.
    pub(super) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let _ = self.conn.progress_handler(0, None::<fn() -> bool>);
        let _ = self.conn.commit_hook(None::<fn() -> bool>);
        let _ = self.conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}

/// Our tables may be read, but not written; nothing may be attached beside the file.
#[expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is the handler's own affair")]
fn judge(context: AuthContext<'_>) -> Authorization {
    let ours = match context.action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. } => is_ours(table_name),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } | AuthAction::Transaction { .. } => true,
        _ => false,
    };
    if ours { Authorization::Deny } else { Authorization::Allow }
}

fn is_ours(table: &str) -> bool {
    table.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

const PREFIX: &str = "azoth_";
/// The clock is looked at after so many steps of the engine's virtual machine.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;
