use bytes::Bytes;
use pigeon_api::DeadDetail;

use super::*;
use crate::{
    dead::tests::letter,
    samples::{EVIL, assert_harmless, long, view},
};

fn document(input: Option<&[u8]>, log: &str) -> DeadDocument {
    DeadDetail { letter: letter(2), input: input.map(Bytes::copy_from_slice), log: log.to_owned() }.into()
}

#[test]
fn a_letter_with_text() {
    let mut document = document(Some(b"{\n\t\"a\": 1,\n  \"b\": \"\xc3\xb6\"\n}\n"), "began\nhalf way\n");
    document.letter.failure.backtrace = vec!["judge (src/lib.rs:12)".to_owned()];
    insta::assert_snapshot!(page(&document, &view(80)));
}

#[test]
fn a_letter_with_bytes_on_a_narrow_screen() {
    let bytes: Vec<u8> = (0..=40).chain(120..=255).collect();
    let text = page(&document(Some(&bytes), ""), &view(60));
    assert_harmless(&text, 60);
    insta::assert_snapshot!(text);
    insta::assert_snapshot!("bytes_whole", page(&document(Some(&bytes), ""), &view(100)));
}

#[test]
fn a_letter_whose_input_is_gone() {
    let text = page(&document(None, ""), &view(80));
    assert!(text.ends_with("\n\nits input is not kept any more: it cannot be tried again\n"), "{text}");
}

#[test]
fn of_a_large_input_the_beginning_is_shown() {
    let raw = ": pigeon dead show 11111111-1111-1111-1111-111111111111:2 --raw\n";
    let shown = |input: &[u8]| page(&document(Some(input), ""), &view(80));
    assert!(shown(&b"line\n".repeat(MOST_LINES + 1)).contains(raw));
    assert!(!shown(&b"line\n".repeat(MOST_LINES)).contains(raw));
    let long = shown(&b"x".repeat(MOST_BYTES + 1));
    assert!(long.contains("its beginning; all of it (4.0 KiB)") && long.contains(raw), "{long}");
    assert!(!shown(&b"x".repeat(MOST_BYTES)).contains(raw));
    assert!(shown(&[0; ROW * MOST_ROWS + 1]).contains(raw));
    assert!(!shown(&[0; ROW * MOST_ROWS]).contains(raw));
}

#[test]
fn hostile_words_steer_nothing() {
    // Text that steers is shown as bytes, what turns the line around is not let through.
    for input in [EVIL.to_owned(), long(), "\u{202e}abc".to_owned()] {
        let mut document = document(Some(input.as_bytes()), EVIL);
        (document.letter.item, document.letter.worker, document.letter.plugin) = (long(), EVIL.to_owned(), long());
        let failure = &mut document.letter.failure;
        (failure.code, failure.message, failure.cause) = (EVIL.to_owned(), long(), long());
        for width in [20, 40, 80] {
            assert_harmless(&page(&document, &view(width)), width);
        }
    }
}
