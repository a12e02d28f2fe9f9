//! What is told to `tracing`: spans that know where they come from, and warnings.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Metadata, Subscriber, info_span};

use crate::support::{Fixture, done, handler, immediate};

/// Keeps the spans and the events of this thread.
#[derive(Clone, Default)]
pub(crate) struct Listener(Arc<Heard>);

#[derive(Default)]
struct Heard {
    next: AtomicU64,
    entered: Mutex<Vec<u64>>,
    spans: Mutex<Vec<Told>>,
    events: Mutex<Vec<Told>>,
}

/// A span or an event, with its fields as they were written.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) id: u64,
    metadata: &'static Metadata<'static>,
    fields: Vec<(&'static str, String)>,
}

impl Told {
    fn of(id: u64, metadata: &'static Metadata<'static>) -> Self {
        Self { id, metadata, fields: Vec::new() }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.push((field.name(), format!("{value:?}")));
    }
}

impl Listener {
    /// Every span of this name.
    fn spans(&self, name: &str) -> Vec<Told> {
        let spans = self.0.spans.lock().unwrap();
        spans.iter().filter(|span| span.metadata.name() == name).cloned().collect()
    }

    /// The `traceparent` of the span that was entered last and not left.
    fn current(&self) -> Option<String> {
        self.0.entered.lock().unwrap().last().map(|span| traceparent(*span))
    }

    /// Every event whose message begins so.
    pub(crate) fn events(&self, message: &str) -> Vec<Told> {
        let events = self.0.events.lock().unwrap();
        let says = |event: &&Told| event.field("message").is_some_and(|text| text.starts_with(message));
        events.iter().filter(says).cloned().collect()
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.0.next.fetch_add(1, Ordering::SeqCst) + 1;
        let mut span = Told::of(id, attributes.metadata());
        attributes.record(&mut span);
        self.0.spans.lock().unwrap().push(span);
        Id::from_u64(id)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::of(0, event.metadata());
        event.record(&mut told);
        self.0.events.lock().unwrap().push(told);
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut entered = self.0.entered.lock().unwrap();
        let at = entered.iter().rposition(|id| *id == span.into_u64()).unwrap();
        entered.remove(at);
    }
}

/// What a tracing library would say of a span.
fn traceparent(span: u64) -> String {
    format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01")
}

#[tokio::test]
async fn span_of_an_execution_names_the_span_in_which_its_task_was_scheduled() {
    let listener = Listener::default();
    let _listens = tracing::subscriber::set_default(listener.clone());
    let work = handler(|ctx, _| async move {
        if ctx.task_id() == "parent" {
            ctx.schedule(immediate("child").build()?)?;
        }
        done()
    });
    let asked = listener.clone();
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(work).with_trace_parent(move || asked.current())
    });
    let request = info_span!("request");
    let request_id = request.id().unwrap().into_u64();
    fixture.schedule(immediate("parent")).instrument(request).await;
    fixture.schedule(immediate("outside")).await;
    fixture.idle().await;
    let executions = listener.spans("azoth.execution");
    let of = |task: &str| executions.iter().find(|span| span.field("task") == Some(task)).unwrap();
    let (parent, child, outside) = (of("\"parent\""), of("\"child\""), of("\"outside\""));
    assert_eq!(parent.field("trace_parent"), Some(&*traceparent(request_id)));
    assert_eq!(child.field("trace_parent"), Some(&*traceparent(parent.id)), "its parent's run scheduled it");
    assert_eq!(outside.field("trace_parent"), None);
    fixture.end().await;
}

#[tokio::test]
async fn child_goes_on_with_its_parents_trace_where_no_span_is_current() {
    let given = Mutex::new(vec![None, Some(traceparent(7))]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let work = handler({
        let seen = Arc::clone(&seen);
        move |ctx, _| {
            seen.lock().unwrap().push(ctx.trace_parent().map(|parent| parent.to_string()));
            async move {
                if ctx.task_id() == "parent" {
                    ctx.schedule(immediate("child").build()?)?;
                }
                done()
            }
        }
    });
    let next = move || given.lock().unwrap().pop().flatten();
    let fixture = Fixture::building(|builder| builder.with_task_handler(work).with_trace_parent(next));
    fixture.schedule(immediate("parent")).await;
    fixture.idle().await;
    assert_eq!(*seen.lock().unwrap(), [Some(traceparent(7)), Some(traceparent(7))]);
    fixture.end().await;
}

#[tokio::test]
async fn what_is_no_traceparent_is_left_out_with_a_warning() {
    let listener = Listener::default();
    let _listens = tracing::subscriber::set_default(listener.clone());
    let garbled = || Some("b3: 80f198ee56343ba864fe8b2a57d3eff7".to_owned());
    let work = handler(|_, _| async { done() });
    let fixture = Fixture::building(|builder| builder.with_task_handler(work).with_trace_parent(garbled));
    fixture.schedule(immediate("task")).await;
    assert_eq!(listener.events("trace context left out").len(), 1);
    fixture.idle().await;
    assert_eq!(listener.spans("azoth.execution")[0].field("trace_parent"), None);
    fixture.end().await;
}
