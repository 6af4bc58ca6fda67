//! Backups that are taken while others write, and what is made of them.

use std::{
    collections::BTreeSet,
    fs,
    io::Cursor,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use pigeon_protocol::{
    id::{Digest, JobId},
    outcome::Verdict,
};
use pigeon_store::{
    Access, Backup, ItemsBuilder, JobEnd, JobFilter, JobState, LARGE_ITEM, NewEvent, NewJob, Options, Retention,
    SqliteStore, Store, StoreError, TokenRecord, restore,
};

use crate::{
    conformance::made::{all_results, batch, items, new_job, outcome, plugin},
    reopen, row, serving,
};

fn archive(backup: &Backup) -> Vec<u8> {
    let mut archive = Vec::new();
    backup.write_to(&mut archive).unwrap();
    archive
}

fn event(number: u64) -> NewEvent {
    let message = number.to_string();
    NewEvent { at_ms: number, author: "ann".to_owned(), kind: "note".to_owned(), job: None, subject: None, message }
}

#[tokio::test]
async fn what_is_restored_is_what_was_there() {
    let (store, dir) = serving();
    let (record, component) = plugin(b"listed", true);
    store.put_plugin(record.clone(), component.clone()).await.unwrap();
    let claim = store.create(NewJob { key: Some("k".to_owned()), ..new_job(1, 1) }).await.unwrap();
    let (job, epoch) = (claim.job(), claim.epoch());
    let mut builder = ItemsBuilder::default();
    builder.push("large", 1, vec![7; LARGE_ITEM + 1].into());
    let large = builder.take();
    store.append(job, epoch, 0, items(0..9), Bytes::new()).await.unwrap();
    store.append(job, epoch, 1, large.clone(), Bytes::new()).await.unwrap();
    store.record(batch(&claim, "a", (0..9).map(row))).await.unwrap();
    store.put_events((0..5).map(event).collect()).await.unwrap();
    let token = TokenRecord {
        name: "ann".to_owned(),
        role: "admin".to_owned(),
        hash: Digest::of(b"secret"),
        created_ms: 1,
        expires_ms: None,
    };
    store.put_token(token.clone()).await.unwrap();
    fs::create_dir(dir.path().join("ca")).unwrap();
    fs::set_permissions(dir.path().join("ca"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.path().join("ca/key"), "secret").unwrap();
    fs::set_permissions(dir.path().join("ca/key"), fs::Permissions::from_mode(0o600)).unwrap();

    let backup = store.backup(vec![PathBuf::from("ca"), PathBuf::from("not-there")]).await.unwrap();
    // What comes later is not in it, though files of it have grown; what goes later is.
    store.append(job, epoch, 2, items(10..19), Bytes::new()).await.unwrap();
    store.finish(job, epoch, JobEnd::new(JobState::Cancelled, 5)).await.unwrap();
    drop(claim);
    store.delete(job).await.unwrap();
    store.sweep(99, Retention::default()).await.unwrap();
    let archived = archive(&backup);
    assert!(backup.bytes() > LARGE_ITEM as u64 && archived.len() as u64 > backup.bytes());
    drop(backup);
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 0);

    let to = tempfile::tempdir().unwrap();
    let state = to.path().join("deeper/state");
    restore(Cursor::new(&archived), &state).unwrap();
    let restored =
        SqliteStore::open(&state, Options { access: Access::Alone, dead_letters: true, ..Options::default() }).unwrap();
    assert_eq!(restored.plugins().await.unwrap(), std::slice::from_ref(&record));
    assert_eq!(restored.component(record.digest).await.unwrap(), Some(component));
    let kept = restored.job(job).await.unwrap();
    assert_eq!((kept.state, kept.chunks, kept.job.key.as_deref()), (JobState::Active, 2, Some("k")));
    assert_eq!(restored.items(job, 0).await.unwrap(), items(0..9));
    assert_eq!(restored.items(job, 1).await.unwrap(), large);
    assert_eq!(restored.tally(job).await.unwrap().total().runs(), 9);
    assert_eq!(restored.dead_count(None).await.unwrap(), (0..9).filter(|run| is_dead(*run)).count() as u64);
    assert_eq!(restored.tokens().await.unwrap(), [token]);
    let number = restored.put_events(vec![event(9)]).await.unwrap();
    assert!(number > 10_000_000_006 && number < 1 << 53, "whoever saw more saw none of these: {number}");
    let again = to.path().join("again");
    restore(Cursor::new(&archived), &again).unwrap();
    let again = reopen(&again).put_events(vec![event(9)]).await.unwrap();
    assert!(again > number, "nor of the same restored a second time: {again}");
    let mode = |name: &str| fs::metadata(state.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("ca"), mode("ca/key")), (0o700, 0o600));
    assert_eq!(fs::read_to_string(state.join("ca/key")).unwrap(), "secret");

    // It goes on as any other, and gives room back as any other.
    let claim = restored.claim(job).await.unwrap();
    restored.append(job, claim.epoch(), 2, items(10..19), Bytes::new()).await.unwrap();
    assert_eq!(restored.items(job, 2).await.unwrap(), items(10..19));
    let database = rusqlite::Connection::open(state.join("pigeon.db")).unwrap();
    let vacuum: i64 = database.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
    let mode: String = database.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!((vacuum, mode.as_str()), (2, "wal"));
}

fn is_dead(run: u64) -> bool {
    row(run).verdict == Verdict::Failure
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_moment_while_others_write_and_sweep() {
    let (store, dir) = serving();
    let stop = Arc::new(AtomicBool::new(false));
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let written = claim.job();
    let writer = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) {
                // An event, then a chunk, then its outcomes: whoever sees the later sees the earlier.
                store.put_events(vec![event(number)]).await.unwrap();
                let chunk = items(number * 3..number * 3 + 3);
                store.append(claim.job(), claim.epoch(), number, chunk, Bytes::new()).await.unwrap();
                let outcomes = (number * 3..number * 3 + 3).map(outcome);
                store.record(batch(&claim, "a", outcomes)).await.unwrap();
                number += 1;
            }
        })
    };
    // Jobs that are finished and swept as soon as they can be.
    let sweeper = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let claim = store.create(new_job(1, 1)).await.unwrap();
                store.append(claim.job(), claim.epoch(), 0, items(0..9), Bytes::new()).await.unwrap();
                store.finish(claim.job(), claim.epoch(), JobEnd::new(JobState::Completed, 1)).await.unwrap();
                drop(claim);
                store.sweep(2, Retention::default()).await.unwrap();
            }
        })
    };
    for number in 0..6 {
        let backup = reopen(dir.path()).backup(Vec::new()).await.unwrap();
        let to = tempfile::tempdir().unwrap();
        restore(Cursor::new(archive(&backup)), to.path()).unwrap();
        drop(backup);
        let restored = reopen(to.path());
        for record in restored.jobs(JobFilter::default()).await.unwrap() {
            let job = record.job.id;
            if record.has_bodies {
                for seq in 0..record.chunks {
                    let chunk = restored.items(job, seq).await.unwrap();
                    let first = restored.chunks(job).await.unwrap()[seq as usize].first;
                    assert_eq!(chunk, items(first..first + chunk.len() as u64));
                }
            }
            if job == written {
                let results = all_results(&restored, job, 1_000).await.len() as u64;
                assert_eq!(restored.tally(job).await.unwrap().total().runs(), results);
                let events = restored.events(0, None, 1_000_000).await.unwrap().len() as u64;
                assert!(results <= record.items && record.items <= events * 3, "backup {number}");
                assert!(events <= record.chunks + 1 && record.items <= results + 3, "backup {number}");
            }
        }
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    sweeper.await.unwrap();
}

/// An archive of a store with one job.
async fn some_archive() -> Vec<u8> {
    let (store, _dir) = serving();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    store.append(claim.job(), claim.epoch(), 0, items(0..3), Bytes::new()).await.unwrap();
    archive(&store.backup(Vec::new()).await.unwrap())
}

#[tokio::test]
async fn an_archive_that_was_cut_or_is_none_leaves_nothing() {
    let whole = some_archive().await;
    let to = tempfile::tempdir().unwrap();
    let state = to.path().join("state");
    // The header of the last entry, what it says, and two blocks that say that it was the last.
    let cut = whole.len() - 4 * 512;
    let was_cut = "it is not a whole backup: it ends too early: it was cut";
    let is_none = "it is no backup of Pigeon: it does not begin as one";
    let is_empty = "it is no backup of Pigeon: there is nothing in it";
    for (what, archive, told) in [
        ("nothing", Vec::new(), is_empty),
        ("no archive", b"not an archive, but long enough to be looked at\n".repeat(100), is_none),
        ("a few words", b"not an archive".to_vec(), is_none),
        ("cut in its first words", whole[..512 + 4].to_vec(), was_cut),
        ("cut in its database", whole[..4096].to_vec(), was_cut),
        ("cut in a header", whole[..1024 + 100].to_vec(), was_cut),
        ("without its end", whole[..cut].to_vec(), was_cut),
        ("an empty archive", another_archive(|_| {}), is_empty),
        ("another archive", another_archive(|archive| put(archive, "photo.jpg", b"pigeon backup 2\n")), is_none),
    ] {
        let error = restore(Cursor::new(archive), &state).unwrap_err();
        assert_eq!(error.to_string(), told, "{what}");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "{what}");
    }
    restore(Cursor::new(&whole), &state).unwrap();
    let error = restore(Cursor::new(&whole), &state).unwrap_err();
    assert!(matches!(&error, StoreError::NotEmpty { path } if *path == state), "{error}");
}

/// An archive that begins as a backup does, if it is given the entry.
fn another_archive(more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    more(&mut archive);
    archive.into_inner().unwrap()
}

fn put(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    // As it is, and not as one that `append_data` lets through.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    archive.append(&header, content).unwrap();
}

#[test]
fn an_archive_gets_no_further_than_its_directory() {
    let to = tempfile::tempdir().unwrap();
    let state = to.path().join("state");
    for name in ["../outside", "/outside", "items/../../outside"] {
        let archive = another_archive(|archive| {
            put(archive, "backup", b"pigeon backup 1\n");
            put(archive, name, b"content");
            put(archive, "complete", b"");
        });
        let error = restore(Cursor::new(archive), &state).unwrap_err();
        assert!(matches!(error, StoreError::Archive { .. }), "{error}");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }
    let link = another_archive(|archive| {
        put(archive, "backup", b"pigeon backup 1\n");
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "items", "/etc").unwrap();
    });
    assert!(matches!(restore(Cursor::new(link), &state), Err(StoreError::Archive { .. })));
    let newer = another_archive(|archive| {
        put(archive, "backup", b"pigeon backup 3\n");
    });
    let error = restore(Cursor::new(newer), &state).unwrap_err();
    assert!(error.to_string().contains("a newer version of Pigeon made it"), "{error}");
}

/// An archive with a bit of everything in it, and so many files that go with it.
async fn full_archive(beside: usize) -> Vec<u8> {
    let (store, dir) = serving();
    let (record, component) = plugin(b"listed", true);
    store.put_plugin(record, component).await.unwrap();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    let mut builder = ItemsBuilder::default();
    builder.push("large", 1, vec![7; LARGE_ITEM + 1].into());
    store.append(claim.job(), claim.epoch(), 0, items(0..50), Bytes::new()).await.unwrap();
    store.append(claim.job(), claim.epoch(), 1, builder.take(), Bytes::new()).await.unwrap();
    fs::create_dir(dir.path().join("ca")).unwrap();
    for number in 0..beside {
        fs::write(dir.path().join(format!("ca/{number}")), number.to_string()).unwrap();
    }
    archive(&store.backup(vec![PathBuf::from("ca")]).await.unwrap())
}

/// An entry of an archive.
struct Within {
    name: String,
    header: usize,
    content: usize,
    size: usize,
}

fn entries(archive: &[u8]) -> Vec<Within> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        Within {
            name: entry.path().unwrap().to_str().unwrap().to_owned(),
            header: entry.raw_header_position() as usize,
            content: entry.raw_file_position() as usize,
            size: entry.size() as usize,
        }
    });
    entries.collect()
}

/// Restore what is no whole backup: why it is not.
fn refused(archive: &[u8], what: &str) -> String {
    let to = tempfile::tempdir().unwrap();
    let restored = restore(Cursor::new(archive), &to.path().join("state"));
    assert!(restored.is_err(), "{what} was restored");
    let error = restored.unwrap_err();
    assert!(matches!(error, StoreError::Archive { .. } | StoreError::NoBackup { .. }), "{what}: {error}");
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "{what}");
    error.to_string()
}

#[tokio::test]
async fn a_byte_that_was_damaged_is_noticed_wherever_it_is() {
    let whole = full_archive(1).await;
    restore(Cursor::new(&whole), &tempfile::tempdir().unwrap().path().join("state")).unwrap();
    let entries = entries(&whole);
    let own = ["backup", "digests", "complete"];
    let mut seen = BTreeSet::new();
    for Within { name, header, content, size } in &entries {
        seen.insert(name.split('/').next().unwrap());
        // Name, mode, size, checksum, kind, magic.
        let headers = [0, 106, 134, 152, 156, 257].map(|at| header + at);
        let contents = (0..8).map(|part| size * part / 8).chain(size.checked_sub(1)).filter(|at| at < size);
        for at in headers.into_iter().chain(contents.map(|at| content + at)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let what = format!("byte {} of {name}", at - header);
            let error = refused(&damaged, &what);
            let is_named = error.contains(&format!("{name} is not what was written"));
            assert!(is_named || at < *content || own.contains(&name.as_str()), "{what}: {error}");
        }
    }
    assert_eq!(Vec::from_iter(seen), ["backup", "bodies", "ca", "complete", "digests", "items", "pigeon.db"]);
    // Behind the end.
    let end = entries.last().unwrap().content + 512;
    for at in [end, end + 512, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        refused(&damaged, "what fills it up");
    }
}

#[tokio::test]
async fn an_entry_that_was_left_out_is_missed() {
    // More than are told of in one list of digests.
    let whole = full_archive(300).await;
    let entries = entries(&whole);
    let of_lists: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].name == "digests").collect();
    assert_eq!(of_lists.len(), 2);
    let without = |from: usize, to: usize| [&whole[..entries[from].header], &whole[entries[to].header..]].concat();
    refused(&without(2, 3), "one without a file");
    refused(&without(of_lists[0], of_lists[0] + 1), "one without a list");
    refused(&without(of_lists[1], of_lists[1] + 1), "one without its last list");
    refused(&without(of_lists[0] + 1, of_lists[1] + 1), "one without a list and its files");
}

#[tokio::test]
async fn of_an_archive_without_digests_the_database_is_looked_at() {
    let whole = full_archive(1).await;
    let entries = entries(&whole);
    let database = entries.iter().find(|entry| entry.name == "pigeon.db").unwrap();
    let database = &whole[database.content..][..database.size];
    let first_format = |database: &[u8]| {
        another_archive(|archive| {
            put(archive, "backup", b"pigeon backup 1\n");
            put(archive, "pigeon.db", database);
            put(archive, "complete", b"");
        })
    };
    let to = tempfile::tempdir().unwrap();
    restore(Cursor::new(first_format(database)), &to.path().join("state")).unwrap();
    for page in [3, 7, 11] {
        let mut damaged = database.to_vec();
        damaged[page * 4096..][..4096].fill(0xff);
        let error = restore(Cursor::new(first_format(&damaged)), &to.path().join("other")).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "page {page}: {error}");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "page {page}");
    }
}

#[tokio::test]
async fn a_newer_database_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    drop(reopen(dir.path()));
    let database = dir.path().join("pigeon.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let archive = another_archive(|archive| {
        put(archive, "backup", b"pigeon backup 1\n");
        put(archive, "pigeon.db", &fs::read(&database).unwrap());
        put(archive, "complete", b"");
    });
    let to = tempfile::tempdir().unwrap();
    let error = restore(Cursor::new(archive), &to.path().join("state")).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn copies_of_the_dead_go_and_those_of_the_living_stay() {
    let (store, dir) = serving();
    let claim = store.create(new_job(1, 1)).await.unwrap();
    store.append(claim.job(), claim.epoch(), 0, items(0..3), Bytes::new()).await.unwrap();
    let backup = store.backup(Vec::new()).await.unwrap();
    let left = dir.path().join("backups").join(JobId::new().to_string());
    let leave = |left: &Path| {
        fs::create_dir(left).unwrap();
        fs::write(left.join("pigeon.db"), "half of it").unwrap();
    };
    leave(&left);
    store.sweep(1, Retention::default()).await.unwrap();
    assert!(!left.exists());
    leave(&left);
    let other = reopen(dir.path()).backup(Vec::new()).await.unwrap();
    assert!(!left.exists());
    assert_eq!(archive(&backup).len(), archive(&other).len());
}
