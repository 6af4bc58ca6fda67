//! Plugins, as SQL.

use pigeon_protocol::id::Digest;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    int,
    jobs::{bytes_of, digest_of},
    number,
};
use crate::{PluginRecord, Result};

/// Insert a plugin, or replace its record.
pub(super) fn put(connection: &Connection, plugin: &PluginRecord) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO plugin (digest, name, version, manifest, listed, published_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (digest) DO UPDATE SET name = ?2, version = ?3, manifest = ?4, listed = max(listed, ?5), published_ms = ?6",
    )?;
    let PluginRecord { digest, name, version, manifest, listed, published_ms } = plugin;
    insert.execute(params![&digest.as_bytes()[..], name, version, &manifest[..], listed, int(*published_ms)])?;
    Ok(())
}

/// A plugin by its digest.
pub(super) fn one(connection: &Connection, digest: Digest) -> Result<Option<PluginRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM plugin WHERE digest = ?1")?;
    select.query_row([&digest.as_bytes()[..]], |row| Ok(record_of(row))).optional()?.transpose()
}

/// The plugins that are listed.
pub(super) fn listed(connection: &Connection) -> Result<Vec<PluginRecord>> {
    let mut select =
        connection.prepare_cached("SELECT * FROM plugin WHERE listed ORDER BY name, published_ms DESC, digest")?;
    select.query_and_then([], record_of)?.collect()
}

fn record_of(row: &Row<'_>) -> Result<PluginRecord> {
    Ok(PluginRecord {
        digest: digest_of(row, "digest")?,
        name: row.get("name")?,
        version: row.get("version")?,
        manifest: bytes_of(row, "manifest")?,
        listed: row.get("listed")?,
        published_ms: number(row.get("published_ms")?),
    })
}
