//! Agents and join tokens, as SQL.

use pigeon_protocol::id::{AgentId, Digest, IncarnationId};
use rusqlite::{Connection, Row, params};

use super::{
    int,
    jobs::{bytes_of, digest_of},
    number,
};
use crate::{
    AgentRecord, AgentSeen, Certified, JoinRefusal, JoinTokenRecord, Mark, Result, StoreError,
    codec::{Reader, put_slice, put_varint},
};

/// Keep a join token.
pub(super) fn put_token(connection: &Connection, token: &JoinTokenRecord) -> Result<()> {
    let JoinTokenRecord { id, hash, author, created_ms, expires_ms, uses, used, labels } = token;
    let mut insert = connection.prepare_cached(
        "INSERT INTO join_token (id, hash, author, created_ms, expires_ms, uses, used, labels)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    )?;
    let hash = &hash.as_bytes()[..];
    let kept =
        insert.execute(params![id, hash, author, int(*created_ms), int(*expires_ms), uses, used, packed(labels)])?;
    if kept == 0 { Err(StoreError::NameTaken(id.clone())) } else { Ok(()) }
}

/// All join tokens.
pub(super) fn tokens(connection: &Connection) -> Result<Vec<JoinTokenRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM join_token ORDER BY created_ms, id")?;
    select.query_and_then([], token_of)?.collect()
}

/// Forget a join token.
pub(super) fn remove_token(connection: &Connection, id: &str) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM join_token WHERE id = ?1")?.execute([id])? > 0)
}

/// A new agent joins with this token, and uses it once.
pub(super) fn join(connection: &Connection, token: Digest, certified: &Certified) -> Result<()> {
    let mut select = connection.prepare_cached("SELECT * FROM join_token WHERE hash = ?1")?;
    let mut found = select.query_and_then([&token.as_bytes()[..]], token_of)?;
    let token = found.next().transpose()?.ok_or(StoreError::NoJoin(JoinRefusal::Unknown))?;
    if token.used >= token.uses {
        return Err(StoreError::NoJoin(JoinRefusal::UsedUp));
    }
    if token.expires_ms <= certified.at_ms {
        return Err(StoreError::NoJoin(JoinRefusal::Expired));
    }
    connection.prepare_cached("UPDATE join_token SET used = used + 1 WHERE id = ?1")?.execute([&token.id])?;
    certify(connection, certified)?;
    connection.prepare_cached("UPDATE agent SET token = ?2, granted = ?3 WHERE id = ?1")?.execute(params![
        &certified.agent.to_bytes()[..],
        token.id,
        packed(&token.labels)
    ])?;
    Ok(())
}

/// An agent has a new certificate.
pub(super) fn certify(connection: &Connection, certified: &Certified) -> Result<()> {
    let Certified { agent, name, certificate, ends_ms, at_ms } = certified;
    connection
        .prepare_cached(
            "INSERT INTO agent (id, name, first_ms, last_ms, certificate, ends_ms) VALUES (?1, ?2, ?5, ?5, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET certificate = ?3, ends_ms = max(ends_ms, ?4), last_ms = max(last_ms, ?5)",
        )?
        .execute(params![&agent.to_bytes()[..], name, &certificate.as_bytes()[..], int(*ends_ms), int(*at_ms)])?;
    Ok(())
}

/// An agent came in.
pub(super) fn seen(connection: &Connection, seen: &AgentSeen) -> Result<AgentRecord> {
    let AgentSeen { agent, name, labels, incarnation, certificate, ends_ms, at_ms } = seen;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO agent (id, name, labels, first_ms, last_ms, incarnation, certificate, ends_ms)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET name = ?2, labels = ?3, last_ms = max(last_ms, ?4), incarnation = ?5,
             certificate = iif(ends_ms > ?7, certificate, ?6), ends_ms = max(ends_ms, ?7)",
    )?;
    let (id, incarnation, certificate) = (agent.to_bytes(), incarnation.to_bytes(), certificate.as_bytes());
    upsert.execute(params![
        &id[..],
        name,
        packed(labels),
        int(*at_ms),
        &incarnation[..],
        &certificate[..],
        int(*ends_ms)
    ])?;
    one(connection, *agent)?.ok_or_else(|| StoreError::Corrupt { what: "an agent is not where it was put".to_owned() })
}

/// An agent left.
pub(super) fn left(connection: &Connection, agent: AgentId, at_ms: u64) -> Result<()> {
    let mut update = connection.prepare_cached("UPDATE agent SET last_ms = max(last_ms, ?2) WHERE id = ?1")?;
    update.execute(params![&agent.to_bytes()[..], int(at_ms)])?;
    Ok(())
}

/// One agent.
pub(super) fn one(connection: &Connection, agent: AgentId) -> Result<Option<AgentRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM agent WHERE id = ?1")?;
    select.query_and_then([&agent.to_bytes()[..]], agent_of)?.next().transpose()
}

/// All agents.
pub(super) fn all(connection: &Connection) -> Result<Vec<AgentRecord>> {
    let mut select = connection.prepare_cached("SELECT * FROM agent ORDER BY last_ms DESC, id")?;
    select.query_and_then([], agent_of)?.collect()
}

/// Nobody wants an agent any more. Whoever said so first stays known.
pub(super) fn revoke(connection: &Connection, agent: AgentId, mark: &Mark) -> Result<Option<Mark>> {
    let mut update = connection.prepare_cached(
        "UPDATE agent SET revoked_ms = ?2, revoked_by = ?3, revoked_why = ?4 WHERE id = ?1 AND revoked_ms IS NULL",
    )?;
    update.execute(params![&agent.to_bytes()[..], int(mark.at_ms), mark.by, mark.why])?;
    Ok(one(connection, agent)?.and_then(|agent| agent.revoked))
}

/// Somebody wants an agent to take nothing, or to take work again.
pub(super) fn set_drained(connection: &Connection, agent: AgentId, mark: Option<&Mark>) -> Result<bool> {
    let mut update = connection.prepare_cached("UPDATE agent SET drained_ms = ?2, drained_by = ?3 WHERE id = ?1")?;
    let (at_ms, by) = (mark.map(|mark| int(mark.at_ms)), mark.map(|mark| &mark.by));
    Ok(update.execute(params![&agent.to_bytes()[..], at_ms, by])? > 0)
}

/// Forget join tokens whose time is over, and agents that were not heard of since `before_ms` and whose certificates ended
/// before.
pub(super) fn forget(connection: &Connection, now_ms: u64, before_ms: u64) -> Result<()> {
    connection.prepare_cached("DELETE FROM join_token WHERE expires_ms <= ?1")?.execute([int(now_ms)])?;
    connection.prepare_cached("DELETE FROM agent WHERE max(last_ms, ends_ms) < ?1")?.execute([int(before_ms)])?;
    Ok(())
}

fn token_of(row: &Row<'_>) -> Result<JoinTokenRecord> {
    Ok(JoinTokenRecord {
        id: row.get("id")?,
        hash: digest_of(row, "hash")?,
        author: row.get("author")?,
        created_ms: number(row.get("created_ms")?),
        expires_ms: number(row.get("expires_ms")?),
        uses: row.get("uses")?,
        used: row.get("used")?,
        labels: labels_of(row, "labels")?,
    })
}

fn agent_of(row: &Row<'_>) -> Result<AgentRecord> {
    let damaged = |what: &str| StoreError::Corrupt { what: what.to_owned() };
    let agent = AgentId::from_slice(row.get_ref("id")?.as_blob().unwrap_or_default());
    let incarnation = row.get::<_, Option<Vec<u8>>>("incarnation")?;
    let certificate = row.get::<_, Option<Vec<u8>>>("certificate")?;
    let mark = |at: &str, by: &str, why: Option<&str>| -> Result<Option<Mark>> {
        let Some(at_ms) = row.get::<_, Option<i64>>(at)? else { return Ok(None) };
        let text = |column: &str| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
        let why = why.map(text).transpose()?.unwrap_or_default();
        Ok(Some(Mark { at_ms: number(at_ms), by: text(by)?, why }))
    };
    Ok(AgentRecord {
        agent: agent.ok_or_else(|| damaged("an agent's id has not 16 bytes"))?,
        name: row.get("name")?,
        token: row.get("token")?,
        granted: labels_of(row, "granted")?,
        labels: labels_of(row, "labels")?,
        first_ms: number(row.get("first_ms")?),
        last_ms: number(row.get("last_ms")?),
        incarnation: incarnation.and_then(|bytes| IncarnationId::from_slice(&bytes)),
        certificate: certificate.and_then(|bytes| Digest::from_slice(&bytes)),
        ends_ms: number(row.get("ends_ms")?),
        drained: mark("drained_ms", "drained_by", None)?,
        revoked: mark("revoked_ms", "revoked_by", Some("revoked_why"))?,
    })
}

fn packed(labels: &[String]) -> Vec<u8> {
    let mut packed = Vec::new();
    put_varint(&mut packed, labels.len() as u64);
    labels.iter().for_each(|label| put_slice(&mut packed, label.as_bytes()));
    packed
}

fn labels_of(row: &Row<'_>, column: &str) -> Result<Vec<String>> {
    let mut reader = Reader::new(bytes_of(row, column)?, "labels");
    let count = reader.count(1)?;
    (0..count).map(|_| reader.text()).collect()
}
