//! Log lines that name the span they were written in.

use std::fmt;

use opentelemetry::trace::{SpanId, TraceId};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::trace;

/// A form of lines, with `trace_id` and `span_id` where a span is being worked on.
#[derive(Debug)]
pub(super) struct Correlated<L> {
    line: L,
    /// What a line without the ids ends with.
    end: &'static str,
}

impl<L> Correlated<L> {
    /// Lines for people.
    pub(super) fn human(line: L) -> Self {
        Self { line, end: "\n" }
    }

    /// Lines that are JSON objects.
    pub(super) fn json(line: L) -> Self {
        Self { line, end: "}\n" }
    }

    fn write(
        &self,
        writer: &mut dyn fmt::Write,
        line: &str,
        trace_id: TraceId,
        span_id: SpanId,
    ) -> fmt::Result {
        let Some(whole) = line.strip_suffix(self.end) else {
            return writer.write_str(line);
        };
        let end = self.end;
        match end.starts_with('}') {
            true => write!(
                writer,
                r#"{whole},"trace_id":"{trace_id}","span_id":"{span_id}"{end}"#
            ),
            false => write!(writer, "{whole} trace_id={trace_id} span_id={span_id}{end}"),
        }
    }
}

impl<S, N, L> FormatEvent<S, N> for Correlated<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    L: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace_id, span_id)) = trace::current_ids() else {
            return self.line.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.line
            .format_event(context, Writer::new(&mut line), event)?;
        self.write(&mut writer, &line, trace_id, span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<L>(form: &Correlated<L>, line: &str) -> String {
        let mut text = String::new();
        let ids = (TraceId::from(0xabc), SpanId::from(0xdef));
        form.write(&mut text, line, ids.0, ids.1).unwrap();
        text
    }

    #[test]
    fn a_line_for_people_ends_with_its_ids() {
        let line = written(&Correlated::human(()), "attempt 1\n");
        let ids = format!("trace_id={:032x} span_id={:016x}", 0xabc, 0xdef);
        assert_eq!(line, format!("attempt 1 {ids}\n"));
    }

    #[test]
    fn a_json_line_stays_one_object() {
        let line = written(&Correlated::json(()), "{\"message\":\"a } b\"}\n");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], "a } b");
        assert_eq!(object["trace_id"], format!("{:032x}", 0xabc));
        assert_eq!(object["span_id"], format!("{:016x}", 0xdef));
        assert!(line.ends_with("}\n"));
    }
}
