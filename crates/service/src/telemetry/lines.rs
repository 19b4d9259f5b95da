//! Log lines that name the span they were written in.

use std::fmt;

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

    fn is_json(&self) -> bool {
        self.end.starts_with('}')
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
        let Some(whole) = line.strip_suffix(self.end) else {
            return writer.write_str(&line);
        };
        let end = self.end;
        match self.is_json() {
            true => write!(
                writer,
                r#"{whole},"trace_id":"{trace_id}","span_id":"{span_id}"{end}"#
            ),
            false => write!(writer, "{whole} trace_id={trace_id} span_id={span_id}{end}"),
        }
    }
}
