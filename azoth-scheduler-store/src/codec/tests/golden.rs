//! The exact bytes of one event of every kind. A test that fails here means that the format has changed: before the
//! first release that may be so, and the bytes below change with it; afterwards it needs a version of its own.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::dependency::{After, DependencyEnd, OnDependencyFailure};
use azoth_scheduler_core::event::{Change, MovedOn};
use azoth_scheduler_core::execution::Emitted;
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::id::{
    Actor, ConcurrencyKey, EventType, GroupName, IdempotencyKey, TaskId, TaskType, WorkerId,
};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::retention::Horizon;
use azoth_scheduler_core::retry::{Backoff, OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{
    Count, CronSpec, Fate, Misfire, MisfirePolicy, Miss, Overlap, Passed, Run, Schedule, Timing,
};
use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
use azoth_scheduler_core::state::{Counts, DisabledReason, Work};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::unique::{Holds, Unique};

use super::*;

#[test]
fn bytes_of_every_kind_are_as_they_were() {
    let mut wrong = Vec::new();
    for (event, expected) in events().iter().zip(RECORDS) {
        let found = hex(&encoded(event));
        if found != expected {
            wrong.push(format!("{}: \"{found}\"", event.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(events().map(|event| EventKind::of(&event)), EventKind::ALL, "one of every kind");
}

#[test]
fn bytes_of_every_kind_still_decode() {
    for (event, record) in events().into_iter().zip(RECORDS) {
        assert_eq!(decode(code(&event), &bytes(record)), Ok(event));
    }
}

const RECORDS: [&str; 22] = [
    "01010c6461696c792d7265706f727401360f67656e65726174655f7265706f727401077265706f72747301fbe8030205fb60ea01fa03fb60ea02fc005c26050a01fce0930400010020af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262000d3020302039202a202a20312d350d4575726f70652f4265726c696e01fd30f0523e2803000001fd008c88b528030000010874656e616e742d37010106696d706f7274010107323032352d303101fc005c2605fdc0cc543e2803000002fd90d4543e28030000fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e280300000106696d706f727401104bf92f3577b34da6a3ce929d0e0e47360800f067aa0ba902b701",
    "01011001901122334475668778899aabbccdde1000000000000000000000000000000007fdc0cc543e28030000030401fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "01011001901122334475668778899aabbccdde0101fc70110100086e6f20726f75746501096c696e6b20646f776efd90d4543e2803000000fdc0cc543e2803000002fd90d4543e280300000102fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "01011001901122334475668778899aabbccdde0b7265706f72745f73656e7402206e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279",
    "01011001901122334475668778899aabbccdde00030205fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "0101fdd0ff523e28030000fd503e533e28030000fb2c010000020101fdc0cc543e2803000002fd90d4543e28030000fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "0101056e69676874036f7073011001901122334475668778899aabbccdde",
    "0101056e69676874036f707300",
    "0101036f7073010304036f7073056e69676874fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "0101056e69676874036f7073",
    "0101fd002852a528030000fd00f8523e280300000101fdc0cc543e2803000002fd90d4543e28030000fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "0101010a73656e645f656d61696c01010401020164fbe80305036f7073",
    "010100056e69676874036f707301fd00d5c03e28030000",
    "0101020874656e616e742d37036f7073",
    "010101fd00f8523e280300000001fdc0cc543e280300000201610162",
    "0101fc70110100",
    "0101fc70110100200101010101010101010101010101010101010101010101010101010101010101200202020202020202020202020202020202020202020202020202020202020202",
    "010106696d706f72740201fdc0cc543e2803000002fd90d4543e28030000",
    "0101036f7073fdc0cc543e2803000002fd90d4543e2803000001",
    "0101036f707301fdc0cc543e2803000002fd90d4543e28030000fdc0cc543e2803000001fd80a1563e28030000fd4076583e2803000001fd004b5a3e28030000",
    "01011001901122334475668778899aabbccddefba00f0c32206f6620352066696c6573",
    "01011001901122334475668778899aabbccdde02206e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279",
];

pub(super) fn events() -> [Event; 22] {
    let key = Scope::Key(ConcurrencyKey::new("tenant-7").unwrap());
    let execution = ExecutionId::from_u128(0x0190_1122_3344_7566_8778_899A_ABBC_CDDE);
    let (by, reason) = (Actor::new("ops").unwrap(), ErrorText::new("night"));
    let run = Run { next: at(120), through: at(180) };
    let progress = Progress { decided_through: at(60), backlog: Some(run), buffered: Some(at(240)) };
    let work = Work { occurrence: at(60), attempt: NonZeroU32::new(2).unwrap(), run_at: at(61) };
    let retry = Then::Retry { work, counts: Counts { failures: 1, losses: 2 } };
    let passed = Passed {
        from: at(1),
        to: at(9),
        count: Count { number: 300, exact: false },
        fate: Fate::Missed(Miss::OverLimit),
    };
    let failure = Failure {
        class: FailureClass::RetryAfter { delay_ms: 70_000 },
        message: ErrorText::new("no route"),
        sources: vec![ErrorText::new("link down")],
    };
    let said = DisabledReason::Said { by: by.clone(), reason: reason.clone() };
    [
        Event::TaskScheduled {
            task: TaskId::new("daily-report").unwrap(),
            change: Change::Redefined,
            definition: Arc::new(definition()),
            work,
            progress,
            waits_for: vec![TaskId::new("import").unwrap()],
            trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
        },
        Event::ExecutionStarted {
            execution,
            worker: WorkerId::from_u128(7),
            occurrence: at(60),
            attempt: NonZeroU32::new(3).unwrap(),
            run: 4,
            off_schedule: true,
            progress,
        },
        Event::TaskExecuted {
            execution,
            outcome: Outcome::Failed(failure),
            started_at: at(61),
            then: retry,
            progress,
        },
        Event::TaskEventEmitted {
            execution,
            emitted: Emitted {
                event_type: EventType::new("report_sent").unwrap(),
                payload: PayloadDigest::of(b"{}"),
            },
        },
        Event::ExecutionAbandoned {
            execution,
            why: AbandonReason::WorkerLost,
            then: Then::Disable(DisabledReason::Losses { losses: 5 }),
            progress,
        },
        Event::OccurrencesPassed { passed, then: Some(MovedOn { then: Then::Next(work), progress }) },
        Event::TaskCancelled { reason: reason.clone(), by: by.clone(), execution: Some(execution) },
        Event::TaskPaused { reason: reason.clone(), by: by.clone(), until: None },
        Event::TaskResumed { by: by.clone(), then: Some(MovedOn { then: Then::Disable(said), progress }) },
        Event::TaskDisabled { reason: reason.clone(), by: by.clone() },
        Event::ClockCorrected {
            ahead: at(864_000),
            defined_at: at(0),
            then: Some(Then::Next(work)),
            progress,
        },
        Event::LimitsChanged {
            scope: Scope::TaskType(TaskType::new("send_email").unwrap()),
            change: LimitsChange::Set(limits()),
            by: by.clone(),
        },
        Event::ScopePaused { scope: Scope::Everything, reason, by: by.clone(), until: Some(at(3600)) },
        Event::ScopeResumed { scope: key, by: by.clone() },
        Event::TasksForgotten {
            horizon: Horizon { finished: Some(at(0)), cancelled: None, disabled: Some(at(60)) },
            tasks: vec![TaskId::new("a").unwrap(), TaskId::new("b").unwrap()],
        },
        Event::PayloadsDropped { through: 70_000 },
        Event::LogCut { through: 70_000, hash: [1; 32], snapshot: [2; 32] },
        Event::DependencyEnded {
            dependency: TaskId::new("import").unwrap(),
            end: DependencyEnd::Cancelled,
            then: Some(work),
        },
        Event::RunRequested { by: by.clone(), work, off_schedule: true },
        Event::TaskRetried { by, then: MovedOn { then: Then::Next(work), progress } },
        Event::ProgressReported {
            execution,
            headway: Headway { done: Share::of(0.4), note: Note::new("2 of 5 files") },
        },
        Event::CheckpointSaved { execution, checkpoint: PayloadDigest::of(b"{}") },
    ]
}

fn limits() -> Limits {
    let number = |number| NonZeroU32::new(number).unwrap();
    Limits {
        max_running: Some(number(4)),
        max_running_per_key: Some(number(2)),
        rate: Rate::new(number(100), NonZeroU64::new(1000).unwrap(), number(5)),
    }
}

fn definition() -> TaskDefinition {
    TaskDefinition {
        task_type: TaskType::new("generate_report").unwrap(),
        payload: PayloadDigest::of(b""),
        schedule: Schedule {
            timing: Timing::Cron(CronSpec::from_stored("0 0 9 * * 1-5", "Europe/Berlin")),
            not_before: Some(at(-1)),
            not_after: Some(at(1_000_000)),
            max_runs: NonZeroU32::new(1000),
            misfire: Misfire {
                policy: MisfirePolicy::CatchUp { limit: NonZeroU32::new(5).unwrap() },
                grace_ms: 60_000,
            },
            overlap: Overlap::BufferOne,
            jitter_ms: 250,
        },
        retry: RetryPolicy {
            max_retries: 3,
            backoff: Backoff { jitter_percent: 10, ..Backoff::default() },
            on_exhausted: OnExhausted::Continue,
        },
        timeout_ms: NonZeroU64::new(300_000).unwrap(),
        priority: Priority::High,
        group: Some(GroupName::new("reports").unwrap()),
        concurrency_key: Some(ConcurrencyKey::new("tenant-7").unwrap()),
        after: Some(After::new([TaskId::new("import").unwrap()], OnDependencyFailure::RunAnyway).unwrap()),
        unique: Some(Unique {
            key: IdempotencyKey::new("2025-01").unwrap(),
            holds: Holds::For { ms: NonZeroU64::new(86_400_000).unwrap() },
        }),
    }
}

/// So many seconds after the start of 2025.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_735_689_600 + seconds).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
