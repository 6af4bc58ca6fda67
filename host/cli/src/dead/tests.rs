use clap::Parser;
use pigeon_api::{DeadDetail, Digest, FailureInfo, JobId, Work};

use super::*;
use crate::samples::{EVIL, Fake, NOW, assert_harmless, long, status, view};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    which: WhichArgs,
}

fn which(args: &[&str]) -> WhichArgs {
    Line::try_parse_from(["list"].iter().chain(args)).unwrap().which
}

pub(super) fn letter(run: u64) -> DeadLetter {
    DeadLetter {
        id: DeadId { job: JobId::from_bytes([0x11; 16]), run },
        item: format!("orders.jsonl:{run}"),
        iteration: 0,
        place: 0,
        plugin: "json 0.1.0".to_owned(),
        digest: Digest::from_bytes([7; 32]),
        worker: if run == 3 { String::new() } else { "north-1".to_owned() },
        attempts: 3,
        failure: FailureInfo {
            cause: "timeout".to_owned(),
            code: if run.is_multiple_of(2) { "timeout" } else { "trap" }.to_owned(),
            message: "the run used up its 10 s of CPU time".to_owned(),
            backtrace: Vec::new(),
        },
        at_ms: NOW - 60_000,
        input_kept: run != 3,
    }
}

fn host(count: u64) -> Fake {
    let detail = |run| DeadDetail { letter: letter(run), input: None, log: String::new() };
    let jobs = vec![status(Work::Many { iterations: 1, workers: None })];
    Fake { jobs, dead: (0..count).rev().map(detail).collect(), ..Fake::default() }
}

#[tokio::test]
async fn letters_at_several_widths() {
    let page = page(&host(4), &DeadFilter::default(), None, 3).await.unwrap();
    let which = which(&["--message", "CPU time"]);
    for width in [40, 80, 160] {
        let text = table(&page, &which, USUAL, &view(width));
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("dead_{width}"), text);
    }
}

#[tokio::test]
async fn the_next_page_is_as_long_as_this_one() {
    let page = page(&host(3), &DeadFilter::default(), None, 1).await.unwrap();
    let more = |limit| table(&page, &which(&["--code", "trap"]), limit, &view(160)).lines().last().unwrap().to_owned();
    let next = page.next.unwrap();
    assert_eq!(more(1), format!("more: pigeon dead list --code trap --limit 1 --after {next}"));
    assert_eq!(more(USUAL), format!("more: pigeon dead list --code trap --after {next}"));
}

#[tokio::test]
async fn pages_follow_one_another() {
    let host = host(2500);
    let runs = |page: &DeadPage| page.dead.iter().map(|letter| letter.id.run).collect::<Vec<_>>();
    let filter = filter(&host, &which(&["--code", "timeout", "--job", "1111"])).await.unwrap();
    let first = page(&host, &filter, None, 2).await.unwrap();
    assert_eq!(runs(&first), [2498, 2496]);
    let second = page(&host, &filter, first.next, 2).await.unwrap();
    assert_eq!(runs(&second), [2494, 2492]);
    let all = page(&host, &DeadFilter::default(), None, 2500).await.unwrap();
    assert_eq!((all.dead.len(), all.next), (2500, None));
}

#[tokio::test]
async fn a_letter_is_named_by_its_job_and_run() {
    let host = host(1);
    let id = DeadId { job: JobId::from_bytes([0x11; 16]), run: 17 };
    for name in ["last:17", "1111:17", "11111111-1111-1111-1111-111111111111:17"] {
        assert_eq!(find(&host, name).await.unwrap(), id, "{name}");
    }
    for name in ["last", "last:", "last:x", ":17", "17"] {
        assert!(find(&host, name).await.is_err(), "{name}");
    }
}

#[test]
fn all_are_meant_only_if_it_is_said() {
    let select = |args: &[&str]| {
        #[derive(Debug, Parser)]
        struct Line {
            #[command(flatten)]
            select: SelectArgs,
        }
        checked(&Line::try_parse_from(["retry"].iter().chain(args)).unwrap().select)
    };
    assert_eq!(select(&[]).unwrap_err().to_string(), "which dead letters are meant?");
    for said in [&["--all"][..], &["a:1"], &["--job", "last"], &["--code", "x"], &["--message", "x"]] {
        assert!(select(said).is_ok(), "{said:?}");
    }
}

#[test]
fn an_empty_list_says_what_to_do() {
    let none = DeadPage { dead: Vec::new(), next: None };
    let text = table(&none, &which(&[]), USUAL, &view(80));
    assert_eq!(text, "no dead letter: runs that cannot be judged would stand here\n");
    let text = table(&none, &which(&["--code", "x"]), USUAL, &view(80));
    assert_eq!(text, "no such dead letter: pigeon dead list lists all\n");
}

#[test]
fn hostile_words_steer_nothing() {
    let evil = |run| {
        let mut letter = letter(run);
        (letter.item, letter.worker, letter.plugin) = (long(), EVIL.to_owned(), long());
        (letter.failure.code, letter.failure.message) = (EVIL.to_owned(), long());
        letter
    };
    let page = DeadPage { dead: vec![evil(1), evil(2)], next: Some(letter(2).id) };
    for width in [40, 80, 200] {
        assert_harmless(&table(&page, &which(&[]), USUAL, &view(width)), width);
    }
}
