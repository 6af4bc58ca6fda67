//! Splitting, against files on disk, in one go and resumed behind every chunk.

use std::{fs, path::PathBuf};

use pigeon_api::{Chunk, ChunkBuilder};
use tempfile::TempDir;

use super::*;

const MAX: u64 = 64 << 20;

/// A folder with these files in it.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn inputs(folder: &TempDir, names: &[&str], rule: SplitRule) -> Inputs {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
    let mut inputs = Inputs::new(&paths, rule, MAX).unwrap();
    for (root, name) in inputs.roots.iter_mut().zip(names) {
        root.given = (*name).to_owned();
    }
    inputs
}

/// All items, as `id=body`.
fn items(inputs: &Inputs) -> Result<Vec<String>, InputError> {
    let checked = check(inputs)?;
    let mut reader = Reader::new(inputs.clone(), checked.identities);
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(format!("{}={}", item.id, String::from_utf8_lossy(item.body)));
    }
    assert_eq!(items.len() as u64, checked.items);
    Ok(items)
}

fn split(name: &str, bytes: &[u8], rule: SplitRule) -> Result<Vec<String>, InputError> {
    let folder = folder(&[(name, bytes)]);
    items(&inputs(&folder, &[name], rule))
}

fn by_extension(name: &str, bytes: &[u8]) -> Result<Vec<String>, InputError> {
    split(name, bytes, SplitRule::ByExtension)
}

fn error(name: &str, bytes: &[u8]) -> String {
    by_extension(name, bytes).unwrap_err().to_string()
}

#[test]
fn a_file_is_one_item_whatever_its_bytes() {
    for bytes in [&b"[1,\n2]\n"[..], b"\xff\xfe\x00", b"\xef\xbb\xbfbom"] {
        let items = split("a.json", bytes, SplitRule::Whole).unwrap();
        assert_eq!(items, [format!("a.json={}", String::from_utf8_lossy(bytes))]);
    }
}

#[test]
fn lines_keep_their_numbers_and_lose_their_breaks() {
    let items = by_extension("a.jsonl", b"\xef\xbb\xbf{\"a\":1}\r\n\n  \t\r\n2\n\"\xc3\xa4\"").unwrap();
    assert_eq!(items, ["a.jsonl:1={\"a\":1}", "a.jsonl:4=2", "a.jsonl:5=\"\u{e4}\""]);
    assert_eq!(by_extension("a.txt", b" x \ny\n").unwrap(), ["a.txt:1= x ", "a.txt:2=y"]);
    assert_eq!(by_extension("a.NDJSON", b"1\n").unwrap(), ["a.NDJSON:1=1"]);
}

#[test]
fn array_elements_are_their_own_bytes() {
    let text =
        b"\xef\xbb\xbf [ 1.50e+3 ,\n  { \"b\" : [ ] , \"a\\\"\\u00e4\":{ } },\r\n\"x,]\" , null,-0,[[],[1]]\n] \n";
    let items = by_extension("a.json", text).unwrap();
    assert_eq!(
        items,
        [
            "a.json[0]=1.50e+3",
            "a.json[1]={ \"b\" : [ ] , \"a\\\"\\u00e4\":{ } }",
            "a.json[2]=\"x,]\"",
            "a.json[3]=null",
            "a.json[4]=-0",
            "a.json[5]=[[],[1]]",
        ]
    );
}

#[test]
fn a_malformed_array_says_where() {
    for (text, message) in [
        ("{}", "a.json:1:1: a JSON array must begin here, with ["),
        (" \n", "a.json:2:1: a JSON array must begin here, with ["),
        ("[1", "a.json:1:3: the array ends in the middle of an element, or its ] is missing"),
        ("[1,\n 2", "a.json:2:3: the array ends in the middle of an element, or its ] is missing"),
        ("[\"a", "a.json:1:4: the array ends in the middle of an element, or its ] is missing"),
        ("[1,,2]", "a.json:1:4: a JSON value must stand here"),
        ("[1 2]", "a.json:1:4: a comma or ] must stand here, behind the element"),
        ("[1,]", "a.json:1:4: an element must stand here, behind the comma"),
        ("[1]\n x", "a.json:2:2: there is something behind the end of the array"),
        ("[\"\u{e4}\u{e4}\", tru]", "a.json:1:8: a JSON value must stand here"),
        ("[01]", "a.json:1:2: a number must not begin with a zero"),
        ("[1.]", "a.json:1:4: a digit must stand here"),
        ("[-]", "a.json:1:3: a digit must stand here"),
        ("[{\"a\" 1}]", "a.json:1:7: a colon must stand here, behind the key"),
        ("[{\"a\":1,}]", "a.json:1:9: a key must stand here, in quotes"),
        ("[{\"a\":1]]", "a.json:1:8: a comma or } must stand here"),
        ("[[1}]", "a.json:1:4: a comma or ] must stand here"),
        ("[\"\\x\"]", "a.json:1:3: JSON knows no such escape in a string"),
        ("[\"\\u12g4\"]", "a.json:1:3: four hexadecimal digits must stand behind \\u"),
        ("[\"a\tb\"]", "a.json:1:4: a control character in a string must be escaped"),
    ] {
        assert_eq!(error("a.json", text.as_bytes()), message, "{text}");
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    let depth = 1_000_000;
    let text = format!("[{}{}, {}1{}]", "[".repeat(depth), "]".repeat(depth), "{\"a\":".repeat(1000), "}".repeat(1000));
    assert_eq!(by_extension("a.json", text.as_bytes()).unwrap().len(), 2);
}

#[test]
fn rows_become_objects_of_strings() {
    let text = b"\xef\xbb\xbfid,\"na\"\"me\",note\r\n1,\"Doe, J\",\"two\nlines\"\r\n\r\n2,,\"\"\"\"\n3,a\tb\\c,\"\"";
    let items = by_extension("a.csv", text).unwrap();
    assert_eq!(
        items,
        [
            r#"a.csv:2={"id":"1","na\"me":"Doe, J","note":"two\nlines"}"#,
            r#"a.csv:5={"id":"2","na\"me":"","note":"\""}"#,
            r#"a.csv:6={"id":"3","na\"me":"a\tb\\c","note":""}"#,
        ]
    );
}

#[test]
fn malformed_rows_say_where() {
    for (text, message) in [
        ("a,b\n1\n", "a.csv:2:1: the row has 1 field, the header has 2"),
        ("a,b\n1,2,3\n", "a.csv:2:1: the row has 3 fields, the header has 2"),
        ("a,a\n", "a.csv:1:3: the header names the column \"a\" twice"),
        ("a,b\n1,\"2\n", "a.csv:2:3: the quoted field that begins here never ends"),
        ("a,b\n1,2\"x\n", "a.csv:2:4: a quote stands inside a field that is not quoted"),
        ("a,b\n\"1\"x,2\n", "a.csv:2:4: something stands between a closing quote and the next comma"),
    ] {
        assert_eq!(error("a.csv", text.as_bytes()), message, "{text}");
    }
}

#[test]
fn text_that_is_split_must_be_utf8() {
    assert_eq!(error("a.jsonl", b"1\n\xc3\xa4\xff\n"), "a.jsonl:2:2: the text is not UTF-8 (byte 4)");
    assert_eq!(error("a.jsonl", b"1\n2\xc3"), "a.jsonl:2:2: the text is not UTF-8 (byte 3)");
    // A character that lies across the boundary of two blocks, good and bad.
    let mut text = vec![b'x'; (256 << 10) - 1];
    text.extend_from_slice("\u{e4}\n".as_bytes());
    assert_eq!(by_extension("a.txt", &text).unwrap().len(), 1);
    let cut = text.len() - 2;
    text[cut] = b'y';
    assert_eq!(error("a.txt", &text), "a.txt:1:262144: the text is not UTF-8 (byte 262143)");
}

#[test]
fn input_without_items_is_bad() {
    assert_eq!(error("a.jsonl", b""), "a.jsonl is empty");
    let none = by_extension("a.jsonl", b"\n\n \n").unwrap_err();
    assert_eq!(none.to_string(), "there is no item in a.jsonl");
    assert_eq!(none.hint().unwrap(), "there are only blank lines (3)");
    assert_eq!(error("a.csv", b"a,b\n"), "there is no item in a.csv");
    assert_eq!(error("a.json", b"[ ]"), "there is no item in a.json");
    let folder = folder(&[(".hidden", b"x")]);
    assert_eq!(items(&inputs(&folder, &[""], SplitRule::Whole)).unwrap_err().to_string(), "there is no item in ");
}

#[test]
fn folders_give_their_files_in_byte_order_without_the_hidden() {
    let files: [(&str, &[u8]); 8] = [
        ("d/b/z", b"5"),
        ("d/b.txt", b"4"),
        ("d/a", b""),
        ("d/b!", b"3"),
        ("d/.git/x", b"-"),
        ("d/c/.x", b"-"),
        ("d/c/e/f", b"7"),
        ("d/b/\u{e4}", b"6"),
    ];
    let folder = folder(&files);
    let expected = ["d/a=", "d/b!=3", "d/b.txt=4", "d/b/z=5", "d/b/\u{e4}=6", "d/c/e/f=7"];
    assert_eq!(items(&inputs(&folder, &["d"], SplitRule::Whole)).unwrap(), expected);
    assert_eq!(items(&inputs(&folder, &["d/"], SplitRule::Whole)).unwrap(), expected);
}

#[test]
fn items_may_not_be_too_large() {
    let folder = folder(&[("a.jsonl", b"1\n123456\n"), ("b", b"123456"), ("a.json", b"[1,\"3456\"]")]);
    for (name, rule, message) in [
        ("a.jsonl", SplitRule::ByExtension, "the item a.jsonl:2 is larger than 5 B"),
        ("b", SplitRule::Whole, "the item b is larger than 5 B"),
        ("a.json", SplitRule::ByExtension, "the item a.json[1] is larger than 5 B"),
    ] {
        let mut inputs = inputs(&folder, &[name], rule);
        inputs.max_item = 5;
        assert_eq!(check(&inputs).unwrap_err().to_string(), message);
    }
    // A line that never ends is refused before it is all in memory.
    let long = vec![b'x'; 4 << 20];
    let folder = self::folder(&[("long.txt", &long)]);
    let mut inputs = inputs(&folder, &["long.txt"], SplitRule::ByExtension);
    inputs.max_item = 1 << 20;
    assert_eq!(check(&inputs).unwrap_err().to_string(), "the item long.txt:1 is larger than 1 MiB");
}

/// All chunks, each with at most `most` items.
fn chunks(mut reader: Reader, from: (u64, u64), most: usize) -> Vec<Chunk> {
    let mut builder = ChunkBuilder::new(from.0, from.1);
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk(&mut builder, most).unwrap() {
        chunks.push(chunk);
    }
    chunks
}

#[test]
fn a_resumed_reader_goes_on_behind_every_chunk() {
    let rows: String = (0..50).map(|n| format!("{n},\"line\n{n}\"\n")).collect();
    let lines: String = (0..50).map(|n| format!("{{\"n\":{n}}}\r\n\n")).collect();
    let elements: Vec<String> = (0..50).map(|n| format!("{{\n\"n\":[{n}]}}")).collect();
    let folder = folder(&[
        ("d/a.csv", format!("\u{feff}\nn,text\n{rows}").as_bytes()),
        ("d/b.jsonl", format!("\u{feff}{lines}").as_bytes()),
        ("d/c.json", format!("\u{feff}[{}]", elements.join(" ,\n")).as_bytes()),
        ("last.txt", b"x\ny\n"),
    ]);
    for (rule, most, items) in
        [(SplitRule::ByExtension, 7, 152), (SplitRule::Whole, 1, 4), (SplitRule::Whole, 3, 4), (SplitRule::Whole, 7, 4)]
    {
        let inputs = inputs(&folder, &["d", "last.txt"], rule);
        let identities = check(&inputs).unwrap().identities;
        let all = chunks(Reader::new(inputs.clone(), identities.clone()), (0, 0), most);
        assert_eq!(all.iter().map(Chunk::len).sum::<usize>(), items);
        let mut first = 0;
        for (at, chunk) in all.iter().enumerate() {
            first += chunk.len() as u64;
            let cursor = serde_json::from_slice(&chunk.cursor).unwrap();
            let reader = Reader::resume(inputs.clone(), identities.clone(), cursor, Vec::new()).unwrap();
            assert_eq!(chunks(reader, (at as u64 + 1, first), most), all[at + 1..], "{rule:?}, behind chunk {at}");
        }
    }
}

#[test]
fn chunks_are_about_a_mebibyte_and_large_items_stand_alone() {
    let mut text = String::new();
    for size in [10, 3 << 20, 20, 1 << 19, 1 << 19, 1 << 19] {
        text.push_str(&"x".repeat(size));
        text.push('\n');
    }
    let folder = folder(&[("a.txt", text.as_bytes())]);
    let inputs = inputs(&folder, &["a.txt"], SplitRule::ByExtension);
    let identities = check(&inputs).unwrap().identities;
    let chunks = chunks(Reader::new(inputs, identities), (0, 0), usize::MAX);
    assert_eq!(chunks.iter().map(Chunk::len).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(chunks.iter().flat_map(|chunk| chunk.lines.clone()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_file_that_changed_is_noticed() {
    let folder = folder(&[("a.jsonl", b"1\n2\n")]);
    let inputs = inputs(&folder, &["a.jsonl"], SplitRule::ByExtension);
    let identities = check(&inputs).unwrap().identities;
    fs::write(folder.path().join("a.jsonl"), b"1\n2\n3\n").unwrap();
    assert_ne!(inputs.identify(0).unwrap(), identities[0]);
    let mut reader = Reader::new(inputs, identities);
    let error = loop {
        match reader.next() {
            Ok(item) => assert!(item.is_some(), "the change was not noticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "a.jsonl has changed since the job was accepted");
}

#[test]
fn a_missing_file_and_a_stream_without_split_are_refused() {
    let missing = Inputs::new(&[PathBuf::from("no/such/file")], SplitRule::Whole, MAX).unwrap_err();
    assert_eq!(missing.to_string(), "there is no file no/such/file");
    let stdin = [PathBuf::from("-")];
    assert!(matches!(Inputs::new(&stdin, SplitRule::ByExtension, MAX), Err(InputError::StreamNeedsSplit)));
    let twice = [PathBuf::from("-"), PathBuf::from("-")];
    assert!(matches!(Inputs::new(&twice, SplitRule::Whole, MAX), Err(InputError::StreamTwice { .. })));
}

#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("d/a", b"1"), ("e/b", b"2")]);
    symlink("../e", folder.path().join("d/linked")).unwrap();
    symlink("../d", folder.path().join("d/self")).unwrap();
    symlink("../d", folder.path().join("e/back")).unwrap();
    let mut reader = Reader::new(inputs(&folder, &["d"], SplitRule::Whole), Vec::new());
    let mut ids = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        ids.push(item.id.to_string());
    }
    assert_eq!(ids, ["d/a", "d/linked/b"]);
}
