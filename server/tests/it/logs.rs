//! What others send is data in a log line, too.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use roost_server::telemetry::logs;
use tracing_subscriber::EnvFilter;

/// A log in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_event_is_one_plain_line_whatever_its_fields_hold() {
    const HOSTILE: &str = "x\n2026-01-01T00:00:00Z  INFO all is well\u{1b}[2J\r\u{9b}31m\u{202e}\u{2028}end";
    let (kept, error) = (Kept::default(), io::Error::other(HOSTILE));
    let writer = {
        let kept = kept.clone();
        move || kept.clone()
    };
    tracing::subscriber::with_default(logs(EnvFilter::new("info"), writer), || {
        let span = tracing::info_span!("request", path = HOSTILE, shown = %HOSTILE);
        let _inside = span.enter();
        tracing::info!("{HOSTILE}");
        tracing::warn!(%error, debugged = ?HOSTILE, text = HOSTILE, "failed");
    });
    let log = String::from_utf8(kept.0.lock().clone()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in lines {
        assert!(line.contains("end") && line.contains("\\u{202e}"), "nothing is left out: {line}");
        assert!(!line.chars().any(roost_shared::Plain::escapes), "{line:?}");
    }
    assert!(log.ends_with('\n'));
}
