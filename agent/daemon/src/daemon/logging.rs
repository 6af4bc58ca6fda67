//! Logs: to standard error, or straight to the journal where systemd has connected us with it.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};

/// The log of a program that is on its way.
#[derive(Debug, Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Send logs on their way: as much as `filter` says (`debug`, `pigeon_agent=trace`). What of it cannot be understood is
    /// left out. Only the first of a process does.
    pub fn start(filter: &str) -> Self {
        let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
        let registry = tracing_subscriber::registry().with(filter);
        let journal = if systemd_journal_logger::connected_to_journal() { journal::Journal::open() } else { None };
        let begun = if let Some(journal) = journal {
            registry.with(journal).try_init()
        } else {
            let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
            registry.with(stderr.with_ansi(std::io::stderr().is_terminal())).try_init()
        };
        // A second one is not heard, and does no harm.
        drop(begun);
        Self(handle)
    }

    /// The same with the filter of the environment's `PIGEON_LOG`; `usual` if that is not set.
    pub fn start_from_env(usual: &str) -> Self {
        Self::start(&std::env::var("PIGEON_LOG").unwrap_or_else(|_| usual.to_owned()))
    }

    /// From now on, as much as this filter says.
    pub fn set(&self, filter: &str) {
        // The layer is gone only where the whole subscriber is.
        let _ = self.0.reload(EnvFilter::new(filter));
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
