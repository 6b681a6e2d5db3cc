//! Lines for a person. The line of a request is written by ourselves where nothing is coloured: half of what it cost went
//! into painting each name and each `=` with no colour.

use std::fmt;
use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::ACCESS;

/// Writes each line as `tracing_subscriber` does, the access log's with less work.
#[derive(Debug, Default)]
pub(super) struct Text(Format);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() != ACCESS || writer.has_ansi_escapes() {
            return self.0.format_event(context, writer, event);
        }
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:>5} {ACCESS}:", metadata.level())?;
        let mut fields = Fields { writer, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        fields.writer.write_char('\n')
    }
}

/// `text name=value name=value`, a stranger's words in quotes.
struct Fields<'a> {
    writer: Writer<'a>,
    written: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let writer = &mut self.writer;
        self.written = self.written.and_then(|()| writer.write_char(' ')).and_then(|()| match field.name() {
            "message" => writer.write_fmt(value),
            name => writer.write_str(name).and_then(|()| writer.write_char('=')).and_then(|()| writer.write_fmt(value)),
        });
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::info;

    use super::*;

    /// What a stranger may try: our own marks, a second line, colours.
    const ODD: &str = "a b=\"c\" class=\"local\"\n\u{1b}[31m\u{9b}31m \u{202e}é \\";

    #[test]
    fn the_access_line_is_the_librarys_own_to_the_byte() {
        let usual = written(false, Format::default());
        let ours = written(false, Text::default());
        assert_eq!(ours, usual);
        assert_eq!(ours.lines().count(), 2, "{ours}");
        assert!(ours.contains(" INFO access: request conn=7 path=\"a b=\\\"c\\\""), "{ours}");
    }

    #[test]
    fn a_terminal_sees_colours() {
        let ours = written(true, Text::default());
        assert_eq!(ours, written(true, Format::default()));
        assert!(ours.contains('\u{1b}'), "{ours}");
    }

    /// Two lines in this format, without their time.
    fn written<F>(ansi: bool, format: F) -> String
    where
        F: FormatEvent<tracing_subscriber::Registry, tracing_subscriber::fmt::format::DefaultFields> + Send + Sync,
        F: 'static,
    {
        use tracing_subscriber::layer::SubscriberExt;

        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(format).with_ansi(ansi);
        let subscriber = tracing_subscriber::registry().with(layer.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let micros = 17_u64;
            info!(target: ACCESS, conn = %7, path = ODD, status = 200, gone = false, micros, "request");
            info!(path = ODD, "another line");
        });
        let bytes = kept.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let without_time = |line: &str| line.split_once(if ansi { "Z" } else { " " }).unwrap().1.to_owned();
        text.lines().map(without_time).collect::<Vec<_>>().join("\n")
    }
}
