//! What goes in comes out, and nothing else is let in.

mod golden;

use azoth_scheduler_core::event::Then;
use azoth_scheduler_core::execution::{ErrorText, Failure, FailureClass, Outcome};
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::state::Progress;
use azoth_scheduler_core::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn encoded(event: &Event) -> Vec<u8> {
    let mut record = Vec::new();
    encode(event, &mut record).expect("an event within the limit can be encoded");
    record
}

fn code(event: &Event) -> u8 {
    EventKind::of(event).code()
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back_equal(event in arbitrary::event()) {
        prop_assert_eq!(decode(code(&event), &encoded(&event)), Ok(event));
    }

    #[test]
    fn decoder_of_many_records_gives_the_events_that_a_fresh_one_gives(
        events in proptest::collection::vec(arbitrary::event(), 1..40),
    ) {
        let mut decoder = Decoder::new();
        for event in events.iter().chain(&events) {
            prop_assert_eq!(&decoder.decode(code(event), &encoded(event)).unwrap(), event);
        }
    }

    #[test]
    fn encoding_appends_and_is_the_same_every_time(event in arbitrary::event(), before in any::<Vec<u8>>()) {
        let mut record = before.clone();
        encode(&event, &mut record).unwrap();
        prop_assert_eq!(record, [before, encoded(&event)].concat());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(kind in any::<u8>(), bytes in any::<Vec<u8>>()) {
        let _ = decode(kind, &bytes);
    }

    #[test]
    fn no_bytes_behind_a_good_header_make_the_decoder_panic(
        kind in 0u8..24,
        body in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..200),
    ) {
        let record = [vec![FORMAT, VERSION], body].concat();
        let _ = decode(kind, &record);
    }

    #[test]
    fn a_changed_record_is_refused_or_holds_another_event(
        event in arbitrary::event(),
        index in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let mut record = encoded(&event);
        let index = index.index(record.len());
        record[index] ^= flip;
        if let Ok(other) = decode(code(&event), &record) {
            // A number may be written longer than needed, so equal events do not prove equal bytes; what is read
            // must be an event that can be written all the same.
            prop_assert_eq!(decode(code(&other), &encoded(&other)), Ok(other));
        }
    }

    #[test]
    fn a_record_that_was_cut_short_is_refused(event in arbitrary::event(), index in any::<prop::sample::Index>()) {
        let record = encoded(&event);
        let cut = &record[..index.index(record.len())];
        let refused = matches!(decode(code(&event), cut), Err(CodecError::Malformed { .. }));
        prop_assert!(refused, "{:?}", decode(code(&event), cut));
    }

    #[test]
    fn bytes_behind_a_record_are_refused(event in arbitrary::event(), more in proptest::collection::vec(any::<u8>(), 1..9)) {
        let record = [encoded(&event), more].concat();
        prop_assert_eq!(
            decode(code(&event), &record),
            Err(CodecError::TrailingBytes { kind: EventKind::of(&event) })
        );
    }

    #[test]
    fn a_record_read_as_another_kind_never_panics(event in arbitrary::event()) {
        let record = encoded(&event);
        for kind in EventKind::ALL {
            let _ = decode(kind.code(), &record);
        }
    }
}

#[test]
fn codes_and_names_of_kinds_are_one_to_one() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_code(kind.code()), Some(kind));
    }
    assert_eq!(EventKind::from_code(0), None);
    assert_eq!(EventKind::from_code(255), None);
}

proptest! {
    #[test]
    fn name_of_a_kind_is_that_of_its_event(event in arbitrary::event()) {
        prop_assert_eq!(EventKind::of(&event).name(), event.name());
    }
}

#[test]
fn unknown_kinds_formats_and_newer_versions_are_told_apart() {
    assert_eq!(decode(99, &[FORMAT, VERSION]), Err(CodecError::UnknownKind { code: 99 }));
    assert_eq!(decode(8, &[77, VERSION]), Err(CodecError::UnknownFormat { found: 77 }));
    let newer = CodecError::NewerVersion { kind: EventKind::TaskPaused, found: 2, supported: VERSION };
    assert_eq!(decode(8, &[FORMAT, 2]), Err(newer.clone()));
    let text = newer.to_string();
    assert!(text.contains("version 2") && text.contains("up to 1 of TaskPaused"), "{text}");
    assert!(matches!(decode(8, &[FORMAT, 0]), Err(CodecError::Malformed { .. })));
    assert!(matches!(decode(8, &[]), Err(CodecError::Malformed { .. })));
}

#[test]
fn a_record_over_the_limit_is_neither_written_nor_read() {
    let longest = ErrorText::new("x".repeat(ErrorText::BYTES_MAX));
    let failed = |sources: usize| Event::TaskExecuted {
        execution: ExecutionId::from_u128(1),
        outcome: Outcome::Failed(Failure {
            class: FailureClass::Retryable,
            message: longest.clone(),
            sources: vec![longest.clone(); sources],
        }),
        started_at: Timestamp::UNIX_EPOCH,
        then: Then::Finish,
        progress: Progress { decided_through: Timestamp::UNIX_EPOCH, backlog: None, buffered: None },
    };
    let mut out = vec![7];
    let error = encode(&failed(64), &mut out).unwrap_err();
    assert!(matches!(error, CodecError::TooLarge { bytes: 266_462, limit: RECORD_BYTES_MAX }), "{error:?}");
    assert_eq!(out, [7], "nothing is left behind");
    assert!(encoded(&failed(Failure::SOURCES_MAX)).len() < 80_000, "as RECORD_BYTES_MAX says");

    let record = vec![FORMAT; usize::try_from(RECORD_BYTES_MAX).unwrap() + 1];
    assert!(matches!(decode(8, &record), Err(CodecError::TooLarge { .. })));
}

/// The common part of a definition is read by itself, and may be remembered: it must not be wrong in either case.
#[test]
fn common_part_that_is_cut_short_or_too_long_is_refused_by_a_decoder_that_knows_the_lawful_one() {
    let [event, ..] = golden::events();
    let record = encoded(&event);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(code(&event), &record), Ok(event.clone()));
    // Behind the header, the name of the task and the change stands its length, and then the type.
    let at = 2 + 1 + "daily-report".len() + 1;
    assert_eq!(record[at + 1..at + 3], [15, b'g'], "the name of a type of 15 bytes");
    let (length, end) = (record[at], at + 1 + usize::from(record[at]));
    let shorter = [&record[..at], &[length - 1], &record[at + 1..end - 1], &record[end..]].concat();
    let longer = [&record[..at], &[length + 1], &record[at + 1..end], &[0], &record[end..]].concat();
    for wrong in [shorter, longer] {
        for result in [decode(code(&event), &wrong), decoder.decode(code(&event), &wrong)] {
            let error = result.unwrap_err();
            assert!(matches!(error, CodecError::Malformed { .. }), "{error:?}");
            assert!(error.to_string().contains("in common with others"), "{error}");
        }
    }
}

#[test]
fn values_that_core_cannot_hold_are_refused() {
    let refused = |kind: EventKind, body: &[u8], why: &str| {
        let error = decode(kind.code(), &[&[FORMAT, VERSION], body].concat()).unwrap_err();
        assert!(matches!(error, CodecError::Malformed { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(EventKind::TaskDisabled, b"\x01r\x00", "actor is empty");
    refused(EventKind::TaskDisabled, b"\x01r\x02a\n", "control character");
    refused(EventKind::TaskDisabled, b"\x01\xFF\x01a", "utf-8");
    let long = [&[251, 1, 16], &[b'x'; 4097][..], b"\x01a"].concat();
    refused(EventKind::TaskDisabled, &long, "4097 bytes is over the limit of 4096");
    // 128 bits that are 15 bytes long; an outcome with an unknown code.
    refused(EventKind::TaskEventEmitted, &[15; 60], "expected 16 bytes");
    refused(EventKind::TaskExecuted, &[&[16][..], &[0; 16], &[9]].concat(), "variant index");
    // More than the whole; a note that is too long.
    let id = [&[16][..], &[0; 16]].concat();
    let beyond = [&id[..], &[251, 0x11, 0x27], &[0]].concat();
    refused(EventKind::ProgressReported, &beyond, "10001 hundredths of a percent");
    let long = [&id[..], &[0], &[251, 1, 1], &[b'x'; 257]].concat();
    refused(EventKind::ProgressReported, &long, "257 bytes is over the limit of 256");
    // An attempt 0; an instant behind the year 9999.
    let ids = [&[16][..], &[0; 16], &[16], &[0; 16]].concat();
    let tail = [0; 10];
    refused(EventKind::ExecutionStarted, &[&ids[..], &[0, 0, 0], &tail].concat(), "nonzero");
    let far = [253, 0, 0, 0, 0, 0, 0, 0, 1];
    let body = [&ids[..], &far, &[1, 1, 0, 0, 0, 0]].concat();
    refused(EventKind::ExecutionStarted, &body, "outside the supported years");
}
