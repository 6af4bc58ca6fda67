//! The durable queue and registry: a trait, SQLite behind it.
