//! The deeds, one variant each.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::bindings::pigeon::plugin::types::{Failure, FailureKind, Judgement, Severity};
use crate::bindings::wasi::logging::logging::{Level, log};
use crate::{alias, answer, witness};

const MIB: usize = 1 << 20;

/// Rounds of a multiplication chain that take about a millisecond: the guest's own clock does not tell.
const ROUNDS_A_MILLISECOND: u64 = 750_000;

macro_rules! deeds {
    ($($word:literal => $variant:ident $(($default:literal))?, $doc:literal;)*) => {
        /// What an item can make the guest do.
        #[derive(Clone, Copy)]
        pub(crate) enum Deed {
            $(#[doc = $doc] $variant $((deeds!(@number $default)))?,)*
        }

        impl Deed {
            /// Every deed's word.
            const WORDS: &[&str] = &[$($word),*];

            fn find(word: &str, argument: Option<u64>) -> Option<Deed> {
                // Deeds without an argument take one all the same, and ignore it: it keeps items apart.
                let _ = argument;
                match word {
                    $($word => Some(Deed::$variant $((argument.unwrap_or($default)))?),)*
                    _ => None,
                }
            }
        }
    };
    (@number $default:literal) => { u64 };
}

deeds! {
    "valid" => Valid, "Answer at once that all is well.";
    "invalid" => Invalid, "Answer at once with one error.";
    "fail-permanent" => FailPermanent, "Say that it cannot judge, and never will.";
    "fail-transient" => FailTransient, "Say that it cannot judge now.";
    "spin" => Spin, "Compute for ever.";
    "spin-host" => SpinHost, "Call a host function for ever.";
    "busy" => Busy(10), "Compute for about so many milliseconds.";
    "sleep" => Sleep(10), "Wait for so many milliseconds by its own clock.";
    "wait-forever" => WaitForever, "Wait for a moment that is centuries away. Real where the clock is.";
    "recurse" => Recurse, "Call itself for ever.";
    "eat-memory" => EatMemory(0), "Take and touch so many MiB of memory; 0 takes all there is.";
    "grow" => Grow(1), "Ask once for so many MiB, and say whether they were given.";
    "trap" => Trap, "Run into `unreachable`.";
    "trap-at" => TrapAt(1), "Trap at the so manyth call of this instance; valid at the others.";
    "panic" => Panic, "Panic with a message.";
    "oob" => Oob, "Read behind the end of memory.";
    "exit" => Exit(1), "Leave by WASI's `exit`: 0 says all went well.";
    "flood-log" => FloodLog(16), "Log so many MiB in lines of 1 KiB, by `wasi:logging`, stdout and stderr in turn.";
    "long-log" => LongLog(8), "Log one line of so many MiB.";
    "log" => Log(1), "Log so many short lines.";
    "findings" => Findings(1000), "Answer with so many errors.";
    "huge-output" => HugeOutput(100), "Answer with so many MiB by naming one text of 1 MiB again and again.";
    "big-data" => BigData(1024), "Answer with a JSON text of so many bytes as its data.";
    "lying-length" => LyingLength, "Answer with a text longer than the memory.";
    "bad-utf8" => BadUtf8, "Answer with a text that is no UTF-8.";
    "nan" => Nan, "Answer with a score that is no number.";
    "bad-data" => BadData, "Answer with data that is no JSON.";
    "many-resources" => ManyResources(100_000), "Take so many handles and give none back.";
    "keep-state" => KeepState, "Say how many calls this instance has seen.";
    "random" => Random, "Say and log every random number, clock reading and number of the run that it can get.";
    "option" => ShowOption, "Say what the option `text` is.";
    "peek" => Peek, "Say what there is of files, variables, arguments and the network.";
    "ask-llm" => AskLlm, "Say what the model server answers.";
}

impl Deed {
    /// A deed by its word and argument. What stands behind a colon and is no number only keeps items apart.
    pub(crate) fn parse(text: &str) -> Result<Deed, Failure> {
        let (word, argument) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        Deed::find(word, argument.parse().ok()).ok_or_else(|| {
            let known = Deed::WORDS.join(", ");
            answer::failure(
                FailureKind::Permanent,
                "bad-option",
                format!("no deed is called `{word}`: known are {known}"),
            )
        })
    }

    /// Do it. `call` numbers the calls of this instance from 1.
    pub(crate) fn carry_out(self, call: u32) -> Result<Judgement, Failure> {
        match self {
            Deed::Valid => {}
            Deed::Invalid => {
                let error = answer::finding(Severity::Error, "bad", "the item says so itself".into());
                return Ok(Judgement { findings: vec![error], ..answer::valid() });
            }
            Deed::FailPermanent => {
                return Err(answer::failure(FailureKind::Permanent, "will-not", "this will never be judged".into()));
            }
            Deed::FailTransient => {
                return Err(answer::failure(FailureKind::Transient, "not-now", "this cannot be judged now".into()));
            }
            Deed::Spin => loop {
                black_box(());
            },
            Deed::SpinHost => loop {
                black_box(crate::bindings::pigeon::plugin::run::iteration());
            },
            Deed::Busy(milliseconds) => return Ok(answer::says("busy", busy(milliseconds).to_string())),
            Deed::Sleep(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
            Deed::WaitForever => wasip2::clocks::monotonic_clock::subscribe_duration(u64::MAX / 2).block(),
            Deed::Recurse => return Ok(answer::says("depth", recurse(0).to_string())),
            Deed::EatMemory(mib) => eat(mib),
            Deed::Grow(mib) => return Ok(grow(mib)),
            Deed::Trap => core::arch::wasm32::unreachable(),
            Deed::TrapAt(at) if u64::from(call) == at => core::arch::wasm32::unreachable(),
            Deed::TrapAt(_) => {}
            Deed::Panic => hostile_panic(),
            Deed::Oob => return Ok(answer::says("byte", out_of_bounds().to_string())),
            Deed::Exit(code) => std::process::exit(code as i32),
            Deed::FloodLog(mib) => flood(mib as usize),
            Deed::LongLog(mib) => log(Level::Info, "hostile", &"long ".repeat(mib as usize * MIB / 5)),
            Deed::Log(lines) => (0..lines).for_each(|line| log(Level::Info, "hostile", &format!("line {line}"))),
            Deed::Findings(count) => return Ok(findings(count)),
            Deed::HugeOutput(mib) => return Ok(alias::huge(mib as usize, MIB)),
            Deed::BigData(bytes) => {
                let text = format!("\"{}\"", "d".repeat((bytes as usize).saturating_sub(2)));
                return Ok(Judgement { data: Some(text), ..answer::valid() });
            }
            Deed::LyingLength => return Ok(alias::lying_length()),
            Deed::BadUtf8 => return Ok(alias::bad_utf8()),
            Deed::Nan => return Ok(Judgement { score: Some(f64::NAN), ..answer::valid() }),
            Deed::BadData => return Ok(Judgement { data: Some("{not json".into()), ..answer::valid() }),
            Deed::ManyResources(count) => {
                (0..count).for_each(|_| std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(1)));
            }
            Deed::KeepState => return Ok(answer::says("calls", call.to_string())),
            Deed::Random => return Ok(witness::random()),
            Deed::ShowOption => {
                let text = crate::option("text")?.unwrap_or_default();
                return Ok(answer::says("text", text));
            }
            Deed::Peek => return Ok(witness::peek()),
            Deed::AskLlm => return Ok(witness::ask_llm()),
        }
        Ok(answer::valid())
    }
}

fn busy(milliseconds: u64) -> u64 {
    let mut state = 1;
    for _ in 0..milliseconds.saturating_mul(ROUNDS_A_MILLISECOND) {
        state = black_box(u64::wrapping_mul(state, 6_364_136_223_846_793_005).wrapping_add(1));
    }
    state
}

/// Keeps nothing in linear memory a frame, so that it is the stack of calls that ends.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the deed")]
fn recurse(depth: u64) -> u64 {
    recurse(depth + 1).rotate_left(7) ^ depth
}

fn eat(mib: u64) {
    let mut eaten = Vec::new();
    while mib == 0 || (eaten.len() as u64) < mib {
        eaten.push(black_box(vec![1_u8; MIB]));
    }
    black_box(&eaten);
}

/// Straight to the instruction: no allocator that would give up with a trap.
fn grow(mib: u64) -> Judgement {
    const PAGES_A_MIB: u64 = 16;
    let pages = mib.saturating_mul(PAGES_A_MIB).min(u64::from(u32::MAX)) as usize;
    let before = core::arch::wasm32::memory_grow::<0>(pages);
    let (code, message) = if before == usize::MAX { ("refused", mib) } else { ("given", mib) };
    answer::says(code, message.to_string())
}

#[expect(clippy::panic, reason = "that is the deed")]
fn hostile_panic() -> ! {
    panic!("a hostile guest panics, with quotes \"\" and a newline\nin its message")
}

fn out_of_bounds() -> u8 {
    let end = core::arch::wasm32::memory_size::<0>() << 16;
    let behind = black_box(end as *const u8);
    // SAFETY: none: the deed is to read behind the memory, which WebAssembly turns into a trap.
    unsafe { behind.read_volatile() }
}

fn flood(mib: usize) {
    static LINE: AtomicU32 = AtomicU32::new(0);
    let ballast = "f".repeat(1000);
    for _ in 0..mib * 1024 {
        let line = LINE.fetch_add(1, Ordering::Relaxed);
        match line % 3 {
            0 => log(Level::Warn, "flood", &format!("{line:010} {ballast}")),
            1 => println!("{line:010} {ballast}"),
            _ => eprintln!("{line:010} {ballast}"),
        }
    }
}

fn findings(count: u64) -> Judgement {
    let findings =
        (0..count).map(|index| answer::finding(Severity::Error, "many", format!("finding {index}"))).collect();
    Judgement { findings, ..answer::valid() }
}
