//! Connections, and the schema with its versions.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig, ffi};

use super::checkpoint::LONGEST;
use crate::{
    Owned, Result, StoreError,
    bodies::{io_error, sync_dir},
};

/// What makes each version out of the one before; the first out of nothing. A version that was released never changes.
const MIGRATIONS: &[&str] =
    &[include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql"), include_str!("v4.sql")];

/// The newest schema version that is known here.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// SQLite before this could corrupt the file when it reset the WAL.
const LEAST_SQLITE: i32 = 3_051_003;

/// A lone outcome touches a handful of pages, and each is written whole.
const PAGE_SIZE: u32 = 4 << 10;

/// How long a process waits for another one that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Make a new database. It takes its name when it is whole and on disk, so that two syncs are enough, and none of the
/// dozen that SQLite would need to be safe on the way.
///
/// Nobody else may do so at the same time.
pub(super) fn create(path: &Path) -> Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &temporary, source)),
        _ => {}
    }
    let mut connection = open(&temporary, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    shape(&connection)?;
    migrate(&mut connection)?;
    connection.close().map_err(|(_, error)| error)?;
    let done = File::open(&temporary).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    done.map_err(|source| io_error("create", path, source))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// What a database is from its beginning; the first two are heeded only where there is no table yet.
fn shape(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(())
}

/// The connection that writes. Brings the database to the newest version.
///
/// Nobody else may do so at the same time.
pub(super) fn open_writer(path: &Path, max_bytes: Option<u64>) -> Result<Connection> {
    let mut connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // Before anything is changed.
    check_version(&connection)?;
    shape(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Kept for the next time: what is there already need not be made room for.
    connection.pragma_update(None, "journal_size_limit", i64::from(LONGEST) * i64::from(PAGE_SIZE))?;
    if let Some(bytes) = max_bytes {
        connection.pragma_update(None, "max_page_count", super::int(bytes / u64::from(PAGE_SIZE)))?;
    }
    migrate(&mut connection)?;
    Ok(connection)
}

/// A connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection for what is no reading and changes nothing here.
pub(super) fn open_beside(path: &Path) -> Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Whether a database that nobody else uses can be opened: it is whole, and of no newer version.
pub(super) fn check(path: &Path) -> Result<()> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_version(&connection)?;
    connection.close().map_err(|(_, error)| error.into())
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(StoreError::OldSqlite { found: rusqlite::version() });
    }
    // Each connection is used by one thread at a time.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // In KiB, if negative.
    connection.pragma_update(None, "cache_size", -(8 << 10))?;
    connection.set_prepared_statement_cache_capacity(128);
    // A plan does not hang on the values that are bound, else statements are prepared anew for each of them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn check_version(connection: &Connection) -> Result<u32> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > KNOWN { Err(StoreError::NewerSchema { found, known: KNOWN }) } else { Ok(found) }
}

/// Bring a database to the newest version, in one transaction: whoever dies on the way leaves the version that it had.
fn migrate(connection: &mut Connection) -> Result<()> {
    if check_version(connection)? == KNOWN {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = check_version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(version as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", KNOWN)?;
    transaction.commit()?;
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error;
        match (&error, error.sqlite_error_code()) {
            (_, Some(ErrorCode::DiskFull)) => StoreError::DiskFull { path: super::DATABASE.into() },
            // What its connections share has to grow, and cannot.
            (Error::SqliteFailure(failure, _), _) if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                StoreError::DiskFull { path: super::DATABASE.into() }
            }
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                StoreError::Corrupt { what: error.to_string() }
            }
            (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
                StoreError::Busy { what: Owned::Database, pid: None }
            }
            (
                Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..),
                _,
            ) => StoreError::Corrupt { what: error.to_string() },
            _ => StoreError::Sqlite(error),
        }
    }
}

impl StoreError {
    /// The error with the database's path, where SQLite did not tell it.
    pub(super) fn in_database(self, database: &Path) -> Self {
        match self {
            StoreError::DiskFull { path } if path == Path::new(super::DATABASE) => {
                StoreError::DiskFull { path: database.to_owned() }
            }
            other => other,
        }
    }
}
