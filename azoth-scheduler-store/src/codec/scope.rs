//! Scopes as a derived table keeps them. Their records are made anew with the table, so they need no upcasting.

use azoth_scheduler_core::scope::ScopeState;
use bincode::Options;

use super::encoding::{BODY_BYTES_MAX, FORMAT, VERSION, options};
use super::v1;

/// The record of a scope.
pub(crate) fn encode_scope(state: &ScopeState) -> Vec<u8> {
    let mut out = vec![FORMAT, VERSION];
    let written = options().serialize_into(&mut out, &v1::ScopeState::of(state));
    written.expect("writing to memory does not fail, and a scope is far below every limit");
    out
}

/// The scope that such a record holds, or what is wrong with it.
pub(crate) fn decode_scope(record: &[u8]) -> Result<ScopeState, String> {
    let [FORMAT, VERSION, body @ ..] = record else {
        return Err("it is no record of this version".to_owned());
    };
    let stored = options().with_limit(BODY_BYTES_MAX).deserialize::<v1::ScopeState<'_>>(body);
    let stored = stored.map_err(|error| error.to_string())?;
    stored.restore().map_err(|invalid| invalid.to_string())
}

#[cfg(test)]
mod tests {
    use azoth_scheduler_core::scope::{Limits, Scope, Spent};
    use azoth_scheduler_core::state::Pause;
    use azoth_scheduler_core::testing::{actor, at, task_type, text};

    use super::*;

    #[test]
    fn scope_comes_back_equal_and_no_part_of_its_record_does() {
        let state = ScopeState {
            set: Some(Limits::default()),
            pause: Some(Pause { at: at(1), reason: text("why"), by: actor("ops"), until: Some(at(9)) }),
            spent: Some(Spent::from_unix_us(-7)),
            ..ScopeState::new(Scope::TaskType(task_type("mail")))
        };
        let record = encode_scope(&state);
        assert_eq!(decode_scope(&record), Ok(state));
        for length in 0..record.len() {
            assert!(decode_scope(&record[..length]).is_err(), "{length} bytes");
        }
    }
}
