//! Logs: to standard error, or straight to the journal where systemd has connected us with it.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Send logs on their way. `PIGEON_LOG` filters them (`debug`, `pigeon_agent=trace`); `usual` does if it is not set.
pub fn init(usual: &str) {
    let filter = EnvFilter::try_from_env("PIGEON_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let registry = tracing_subscriber::registry().with(filter);
    let journal = if systemd_journal_logger::connected_to_journal() { journal::Journal::open() } else { None };
    if let Some(journal) = journal {
        registry.with(journal).init();
    } else {
        let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        registry.with(stderr.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))).init();
    }
}

mod journal {
    use std::fmt::Write as _;

    use systemd_journal_logger::JournalLog;
    use tracing::{Event, Level, Subscriber, field::Visit};
    use tracing_subscriber::layer::{Context, Layer};

    /// Hands events to the journal with their level as priority.
    pub(super) struct Journal(JournalLog);

    impl Journal {
        /// `None` where the journal cannot be reached.
        pub(super) fn open() -> Option<Self> {
            JournalLog::new().ok().map(Self)
        }
    }

    impl<S: Subscriber> Layer<S> for Journal {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let metadata = event.metadata();
            let mut line = Line::default();
            event.record(&mut line);
            let level = match *metadata.level() {
                Level::ERROR => log::Level::Error,
                Level::WARN => log::Level::Warn,
                Level::INFO => log::Level::Info,
                Level::DEBUG => log::Level::Debug,
                Level::TRACE => log::Level::Trace,
            };
            // A journal that takes nothing leaves us nowhere to complain.
            let _ = self.0.journal_send(
                &log::Record::builder()
                    .level(level)
                    .target(metadata.target())
                    .args(format_args!("{}{}", line.message, line.fields))
                    .file(metadata.file())
                    .line(metadata.line())
                    .build(),
            );
        }
    }

    #[derive(Default)]
    struct Line {
        message: String,
        fields: String,
    }

    impl Visit for Line {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            // Writing to a string does not fail.
            let _ = match field.name() {
                "message" => write!(self.message, "{value:?}"),
                name => write!(self.fields, " {name}={value:?}"),
            };
        }
    }
}
