//! How fast a text of the size of a small program is walked, beside the mere look whether it is UTF-8.

use std::hint::black_box;
use std::time::Instant;

/// Counts what it is told, so that telling is not left out.
#[derive(Default)]
struct Count(usize);

impl strict_json::Sink for Count {
    fn begin_object(&mut self, _: usize) {
        self.0 += 1;
    }
    fn key(&mut self, _: usize, _: usize, _: bool) {
        self.0 += 1;
    }
    fn string(&mut self, _: usize, _: usize, _: bool) {
        self.0 += 1;
    }
}

fn main() {
    let node =
        r#"{"g": "app", "v": {"fn": {"g": "ref", "v": "fib"}, "args": {"g": "vec", "v": [{"g": "lit", "v": 10}]}}}"#;
    let compact = format!("[{}]", [node; 8].join(","));
    let indented = compact.replace(' ', "\n            ");
    for (name, text) in [("compact", &compact), ("indented", &indented)] {
        let body = text.as_bytes();
        let utf8 = median(|| std::str::from_utf8(black_box(body)).map_or(0, str::len));
        let walk = median(|| {
            let mut count = Count::default();
            strict_json::parse(black_box(body), &mut count).map_or(0, |_| count.0)
        });
        println!("{name}: {} bytes, UTF-8 alone {utf8} ns, walk {walk} ns", body.len());
    }
}

/// Nanoseconds a call, the median of 11 rounds of 20,000.
fn median(mut call: impl FnMut() -> usize) -> u128 {
    let mut rounds: Vec<u128> = (0..11)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..20_000 {
                black_box(call());
            }
            start.elapsed().as_nanos() / 20_000
        })
        .collect();
    rounds.sort_unstable();
    rounds.get(5).copied().unwrap_or_default()
}
