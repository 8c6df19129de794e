//! A layer of `tracing-subscriber`: events with the fields of their spans, in the server's log.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::code::Level;
use super::escape::push_escaped;
use super::logger::server_log;

/// Makes a layer that sends the events of `tracing` to the server's log.
///
/// A factory, or the `main` of a gateway program, adds it to a subscriber:
///
/// ```no_run
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry().with(mod_rust::gateway::log_layer()).init();
/// ```
///
/// A line reads `order{id=7}:pay{by="card"}: shop: paid total=12`: the spans, the target, the message
/// and the other fields. It belongs to the request that the thread works on, as a line of
/// [`Environ::log`](super::Environ::log) does, and the server's level for that request applies.
/// Before there is a server, lines up to level info go to the standard error.
#[must_use]
pub const fn log_layer() -> LogLayer {
    LogLayer(())
}

/// The layer that [`log_layer()`] makes.
#[derive(Clone, Copy, Debug)]
pub struct LogLayer(());

/// The fields of a span, kept beside it.
struct SpanFields(String);

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(SpanFields(fields.text));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // The values are written first: while they are, their code may look at the span itself.
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(SpanFields(text)) = span.extensions_mut().get_mut()
        {
            push_after(text, " ", &fields.text);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = level(*event.metadata().level());
        let server = server_log();
        if !server.map_or(level <= Level::Info, |server| server.keeps(level)) {
            return;
        }
        let mut line = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            push_after(&mut line, ":", span.name());
            if let Some(SpanFields(text)) = span.extensions().get()
                && !text.is_empty()
            {
                let _ = write!(line, "{{{text}}}");
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        push_after(&mut line, ": ", fields.target.as_deref().unwrap_or(event.metadata().target()));
        push_after(&mut line, ": ", &fields.text);
        match server {
            Some(server) => server.line(level, &line),
            None => {
                let mut escaped = String::new();
                push_escaped(&mut escaped, line.as_bytes());
                // Nobody is to be told where standard error cannot be written to.
                let _ = writeln!(io::stderr(), "{escaped}");
            }
        }
    }
}

/// The fields of a span or an event as text: the message, and `name=value` for each other one.
#[derive(Default)]
struct Fields {
    text: String,
    /// The target of a record of the crate `log`. The crate `tracing-log` makes an event of it, with
    /// the record's own data in fields `log.…`.
    target: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            "log.target" => self.target = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = match field.name() {
            name if name.starts_with("log.") => return,
            "message" => format!("{value:?}"),
            name => format!("{}={value:?}", name.strip_prefix("r#").unwrap_or(name)),
        };
        push_after(&mut self.text, " ", &text);
    }
}

/// Adds `more`, with `between` before it unless it is the first.
fn push_after(text: &mut String, between: &str, more: &str) {
    if !text.is_empty() {
        text.push_str(between);
    }
    text.push_str(more);
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}
