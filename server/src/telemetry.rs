//! The server's own logs.

use std::io::{self, Write};

use roost_shared::Plain;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Structured logs on stderr; `ROOST_LOG` filters them (`level` unless set).
pub fn start_logs(level: &str) {
    let filter = EnvFilter::try_from_env("ROOST_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // A second start (two servers in one test process) keeps the first's.
    let _ = logs(filter, io::stderr).try_init();
}

/// A log whose events are one plain line each, whatever their fields hold. It has no colours: a log without any code for a
/// terminal can be trusted not to hold someone else's.
pub fn logs<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(PlainLines(writer)).with_ansi(false).finish()
}

/// Makes writers of [`PlainLine`].
struct PlainLines<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for PlainLines<W> {
    type Writer = PlainLine<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        PlainLine(self.0.make_writer())
    }
}

/// Writes each event, which comes in one piece, as one plain line.
struct PlainLine<W>(W);

impl<W: Write> Write for PlainLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = format!("{}\n", Plain(text.strip_suffix('\n').unwrap_or(&text)));
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
