//! Tokens, schedules and limits of plugins, as SQL: what is kept by name.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::{
    int,
    jobs::{bytes_of, digest_of},
    number,
};
use crate::{Result, ScheduleRecord, StoreError, TokenRecord};

/// Keep a token.
pub(super) fn put_token(connection: &Connection, token: &TokenRecord) -> Result<()> {
    let TokenRecord { name, role, hash, created_ms, expires_ms } = token;
    let mut insert = connection.prepare_cached(
        "INSERT INTO token (name, role, hash, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO NOTHING",
    )?;
    let kept = insert.execute(params![name, role, &hash.as_bytes()[..], int(*created_ms), expires_ms.map(int)])?;
    if kept == 0 { Err(StoreError::NameTaken(name.clone())) } else { Ok(()) }
}

/// All tokens.
pub(super) fn tokens(connection: &Connection) -> Result<Vec<TokenRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM token ORDER BY name")?;
    let tokens = select.query_and_then([], |row| {
        Ok(TokenRecord {
            name: row.get("name")?,
            role: row.get("role")?,
            hash: digest_of(row, "hash")?,
            created_ms: number(row.get("created_ms")?),
            expires_ms: row.get::<_, Option<i64>>("expires_ms")?.map(number),
        })
    })?;
    tokens.collect()
}

/// Forget a token.
pub(super) fn remove_token(connection: &Connection, name: &str) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM token WHERE name = ?1")?.execute([name])? > 0)
}

/// Keep a schedule that is new.
pub(super) fn add_schedule(connection: &Connection, schedule: &ScheduleRecord) -> Result<()> {
    let ScheduleRecord { name, spec, state } = schedule;
    let mut insert = connection
        .prepare_cached("INSERT INTO schedule (name, spec, state) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING")?;
    let kept = insert.execute(params![name, &spec[..], &state[..]])?;
    if kept == 0 { Err(StoreError::NameTaken(name.clone())) } else { Ok(()) }
}

/// Change a schedule that is there.
pub(super) fn put_schedule(connection: &Connection, schedule: &ScheduleRecord) -> Result<bool> {
    let ScheduleRecord { name, spec, state } = schedule;
    let mut update = connection.prepare_cached("UPDATE schedule SET spec = ?2, state = ?3 WHERE name = ?1")?;
    Ok(update.execute(params![name, &spec[..], &state[..]])? > 0)
}

/// All schedules.
pub(super) fn schedules(connection: &Connection) -> Result<Vec<ScheduleRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM schedule ORDER BY name")?;
    let schedules = select.query_and_then([], |row| {
        Ok(ScheduleRecord { name: row.get("name")?, spec: bytes_of(row, "spec")?, state: bytes_of(row, "state")? })
    })?;
    schedules.collect()
}

/// Forget a schedule.
pub(super) fn remove_schedule(connection: &Connection, name: &str) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM schedule WHERE name = ?1")?.execute([name])? > 0)
}

/// Keep limits, or forget them.
pub(super) fn put_plugin_limits(connection: &Connection, name: &str, limits: Option<&[u8]>) -> Result<()> {
    match limits {
        Some(limits) => connection
            .prepare_cached("INSERT OR REPLACE INTO plugin_limits (name, limits) VALUES (?1, ?2)")?
            .execute(params![name, limits])?,
        None => connection.prepare_cached("DELETE FROM plugin_limits WHERE name = ?1")?.execute([name])?,
    };
    Ok(())
}

/// All limits.
pub(super) fn plugin_limits(connection: &Connection) -> Result<Vec<(String, Bytes)>> {
    let mut select = connection.prepare_cached("SELECT * FROM plugin_limits ORDER BY name")?;
    select.query_and_then([], |row| Ok((row.get("name")?, bytes_of(row, "limits")?)))?.collect()
}
