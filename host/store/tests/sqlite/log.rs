//! The write-ahead log: it is written back beside the writer, and does not grow for ever.

use std::{fs, path::Path, time::Duration};

use pigeon_store::{NewEvent, Store};

use crate::open;

/// What a log may be long: what it is written back at, and what one transaction adds.
const LONGEST: u64 = 17 << 20;

fn event() -> NewEvent {
    NewEvent {
        at_ms: 1,
        author: String::new(),
        kind: "kind".to_owned(),
        job: None,
        subject: None,
        message: "m".repeat(32 << 10),
    }
}

fn length(dir: &Path, name: &str) -> u64 {
    fs::metadata(dir.join(name)).unwrap().len()
}

#[tokio::test]
async fn what_was_written_reaches_the_database_though_the_store_stays_open() {
    let (store, dir) = open();
    let before = length(dir.path(), "pigeon.db");
    for _ in 0..64 {
        store.put_events(vec![event()]).await.unwrap();
    }
    // It is done by another thread; the log is far from where a commit would do it.
    while length(dir.path(), "pigeon.db") < before + (1 << 20) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(length(dir.path(), "pigeon.db-wal") < 4 << 20);
    let kept = store.events(0, None, 1000).await.unwrap();
    assert_eq!(kept.len(), 64);
}

#[tokio::test]
async fn the_log_stays_short_however_much_is_written() {
    let (store, dir) = open();
    for _ in 0..64 {
        // A MiB in each transaction, one right behind the other.
        store.put_events(vec![event(); 32]).await.unwrap();
    }
    let log = length(dir.path(), "pigeon.db-wal");
    assert!(log <= LONGEST, "{log}");
}

#[tokio::test]
async fn a_log_that_is_read_behind_is_written_back_when_the_reader_has_left() {
    let (store, dir) = open();
    store.put_events(vec![event()]).await.unwrap();
    let reader = rusqlite::Connection::open(dir.path().join("pigeon.db")).unwrap();
    let count = |reader: &rusqlite::Connection| -> i64 {
        reader.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap()
    };
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 1);
    for _ in 0..32 {
        store.put_events(vec![event(); 32]).await.unwrap();
    }
    // What the reader sees is as it was, so the log had to grow.
    assert_eq!(count(&reader), 1);
    assert!(length(dir.path(), "pigeon.db-wal") > LONGEST);
    reader.execute_batch("COMMIT").unwrap();
    for _ in 0..4 {
        store.put_events(vec![event(); 32]).await.unwrap();
    }
    assert_eq!(count(&reader), 1 + 36 * 32);
    let log = length(dir.path(), "pigeon.db-wal");
    assert!(log <= LONGEST, "{log}");
}
