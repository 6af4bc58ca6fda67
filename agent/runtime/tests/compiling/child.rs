//! The child process: what it compiles, and every way in which it can end.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pigeon_runtime::{CodeSettings, CompileError, CompileLimits, CompileMode, Compiler, ExitKind, MAX_COMPONENT};

use super::{Test, bare, child_mode, component, large_component, load, no_compiler, shell};

pub(crate) const TESTS: &[Test] = &[
    ("child::compiles_what_the_parent_can_load", compiles_what_the_parent_can_load),
    ("child::is_refused_what_does_not_compile", is_refused_what_does_not_compile),
    ("child::makes_code_for_no_other_engine", makes_code_for_no_other_engine),
    ("child::is_stopped_by_its_memory", is_stopped_by_its_memory),
    ("child::is_stopped_by_its_cpu_time", is_stopped_by_its_cpu_time),
    ("child::is_killed_when_it_hangs", is_killed_when_it_hangs),
    ("child::that_crashes_is_no_crash_of_ours", that_crashes_is_no_crash_of_ours),
    ("child::that_floods_is_cut_short", that_floods_is_cut_short),
    ("child::that_cannot_start_says_so", that_cannot_start_says_so),
    ("child::gets_no_component_that_is_too_large", gets_no_component_that_is_too_large),
    ("child::does_not_inherit_the_environment", does_not_inherit_the_environment),
];

fn compiles_what_the_parent_can_load() {
    for mode in [CompileMode::InProcess, child_mode(CompileLimits::default())] {
        let loaded = load(&bare(mode), &component("seven")).unwrap();
        assert!(loaded.get_export_index(None, "seven").is_some());
    }
}

fn is_refused_what_does_not_compile() {
    for mode in [CompileMode::InProcess, child_mode(CompileLimits::default())] {
        let error = load(&bare(mode), &Bytes::from_static(b"no component")).unwrap_err();
        assert!(matches!(&error, CompileError::Refused { message } if !message.is_empty()), "{error:?}");
    }
}

fn makes_code_for_no_other_engine() {
    // A parent whose engine counts fuel, and who says that it does not.
    let engine = wasmtime::Engine::new(&CodeSettings { fuel: true }.config()).unwrap();
    let mode = child_mode(CompileLimits::default());
    let compiler = Compiler::new(&engine, CodeSettings { fuel: false }, mode.clone(), None).unwrap();
    let error = load(&compiler, &component("seven")).unwrap_err();
    assert!(matches!(error, CompileError::OtherEngine { .. }), "{error:?}");

    let compiler = Compiler::new(&engine, CodeSettings { fuel: true }, mode, None).unwrap();
    load(&compiler, &component("seven")).unwrap();
}

fn is_stopped_by_its_memory() {
    let limits = CompileLimits { memory: 96 << 20, ..CompileLimits::default() };
    let error = load(&bare(child_mode(limits)), &large_component(3000)).unwrap_err();
    assert!(matches!(error, CompileError::OutOfMemory { limit } if limit == limits.memory), "{error:?}");
}

fn is_stopped_by_its_cpu_time() {
    let limits = CompileLimits { cpu: Duration::from_secs(1), ..CompileLimits::default() };
    let error = load(&bare(child_mode(limits)), &large_component(5000)).unwrap_err();
    assert!(matches!(error, CompileError::CpuTime { limit } if limit == limits.cpu), "{error:?}");
}

fn is_killed_when_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", pid_file.display());
    // Long enough for the shell to write its number, even on a busy machine.
    let limits = CompileLimits { wall: Duration::from_secs(3), ..CompileLimits::default() };
    let error = load(&bare(shell(&script, limits)), &component("seven")).unwrap_err();
    assert!(matches!(error, CompileError::WallTime { limit } if limit == limits.wall), "{error:?}");

    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    let begun = Instant::now();
    while is_running(pid) {
        assert!(begun.elapsed() < Duration::from_secs(60), "process {pid} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there and no zombie.
fn is_running(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
        Err(_) => false,
    }
}

fn that_crashes_is_no_crash_of_ours() {
    for (script, words) in [
        ("kill -SEGV $$", "signal: 11"),
        ("echo it went wrong >&2; exit 3", "it went wrong"),
        ("cat > /dev/null; echo no code", "no compiled component"),
        ("exit 0", "no compiled component"),
    ] {
        let error = load(&bare(shell(script, CompileLimits::default())), &component("seven")).unwrap_err();
        assert!(matches!(&error, CompileError::Crashed { how } if how.contains(words)), "{script}: {error:?}");
    }
}

fn that_floods_is_cut_short() {
    let script = "head -c 4000000 /dev/zero | tr '\\0' x >&2; exit 65";
    let error = load(&bare(shell(script, CompileLimits::default())), &component("seven")).unwrap_err();
    assert!(matches!(&error, CompileError::Refused { message } if message.len() == 8 << 10), "{error}");
}

fn that_cannot_start_says_so() {
    let error = load(&bare(no_compiler()), &component("seven")).unwrap_err();
    assert!(matches!(error, CompileError::Start { .. }), "{error:?}");
}

fn gets_no_component_that_is_too_large() {
    let error = load(&bare(no_compiler()), &Bytes::from(vec![0; MAX_COMPONENT + 1])).unwrap_err();
    assert!(matches!(error, CompileError::TooLarge { limit: MAX_COMPONENT, .. }), "{error:?}");
}

fn does_not_inherit_the_environment() {
    // The path that cargo puts before everything, and every secret, stay here.
    let script = "test -z \"$CARGO_MANIFEST_DIR$HOME\" && exit 65";
    let error = load(&bare(shell(script, CompileLimits::default())), &component("seven")).unwrap_err();
    assert!(matches!(error, CompileError::Refused { .. }), "{error:?}");

    // Called by a person, it says how it wants to be called.
    let output =
        Command::new(std::env::current_exe().unwrap()).arg(crate::CHILD).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(ExitKind::Usage as i32));
    assert!(String::from_utf8_lossy(&output.stderr).contains("expected"));
}
