//! Compiling in a process of its own: both ends of the pipe.
//!
//! The parent starts the child with the limits and the fingerprint of its engine as arguments, writes the component
//! to its standard input and reads compiled code from its standard output. The child binds itself before it reads
//! the first byte. How it ended is told by its exit code, [`ExitKind`]; its standard error holds the words.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use wasmtime::Engine;

use super::{CodeSettings, CompileError, CompileLimits, Fingerprint, MAX_COMPILED, MAX_COMPONENT, chain};

/// Most bytes of the child's words that are kept.
const MAX_WORDS: usize = 8 << 10;

/// More threads than this gain little, and each reserves address space, which is bounded.
const MAX_THREADS: usize = 8;

/// How a compiling child ends, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitKind {
    /// Compiled code is on its standard output.
    Compiled = 0,
    /// It was called wrongly.
    Usage = 64,
    /// The component does not compile.
    Refused = 65,
    /// Its engine is not the parent's.
    OtherEngine = 66,
    /// Its memory did not suffice.
    OutOfMemory = 67,
    /// It could not read, write, or set its own limits.
    Io = 74,
}

impl ExitKind {
    const ALL: [ExitKind; 6] = [
        ExitKind::Compiled,
        ExitKind::Usage,
        ExitKind::Refused,
        ExitKind::OtherEngine,
        ExitKind::OutOfMemory,
        ExitKind::Io,
    ];

    fn of(code: i32) -> Option<ExitKind> {
        ExitKind::ALL.into_iter().find(|kind| *kind as i32 == code)
    }
}

/// What a compiling child does: component on standard input, compiled code on standard output.
///
/// `args` are the arguments behind those that made the program call this, as the parent wrote them.
pub fn compile_child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (kind, words) = match Order::parse(args).and_then(|order| order.carry_out()) {
        Ok(()) => (ExitKind::Compiled, String::new()),
        Err(failed) => failed,
    };
    // If nobody listens any more, there is nobody to tell.
    let _ = io::stderr().write_all(words.as_bytes());
    ExitCode::from(kind as u8)
}

/// This process's own program, to be started again as the compiling child: on Linux by the name under which the kernel
/// knows the very file that runs, so that it is the same program after an upgrade has put another in its place.
///
/// # Errors
/// If it cannot be found.
pub fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() { Ok(running.into()) } else { env::current_exe() }
}

/// What the parent asks of the child.
struct Order {
    engine: String,
    memory: u64,
    cpu_seconds: u64,
    settings: CodeSettings,
}

type Failed = (ExitKind, String);

impl Order {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, Failed> {
        let usage = || (ExitKind::Usage, "expected: ENGINE MEMORY-BYTES CPU-SECONDS plain|fuel".to_owned());
        let args: Vec<String> =
            args.into_iter().map(OsString::into_string).collect::<Result<_, _>>().map_err(|_| usage())?;
        let [engine, memory, cpu_seconds, settings] = args.as_slice() else { return Err(usage()) };
        Ok(Order {
            engine: engine.clone(),
            memory: memory.parse().map_err(|_| usage())?,
            cpu_seconds: cpu_seconds.parse().map_err(|_| usage())?,
            settings: match settings.as_str() {
                "plain" => CodeSettings { fuel: false },
                "fuel" => CodeSettings { fuel: true },
                _ => return Err(usage()),
            },
        })
    }

    fn args(settings: CodeSettings, fingerprint: Fingerprint, limits: CompileLimits) -> [String; 4] {
        let seconds = limits.cpu.as_secs().max(1);
        let settings = if settings.fuel { "fuel" } else { "plain" };
        [fingerprint.to_hex(), limits.memory.to_string(), seconds.to_string(), settings.to_owned()]
    }

    fn carry_out(self) -> Result<(), Failed> {
        let io_failed =
            |what: &'static str| move |error: io::Error| (ExitKind::Io, format!("failed to {what}: {error}"));
        self.bind().map_err(io_failed("set its limits"))?;
        let engine = Engine::new(&self.settings.config()).map_err(|error| (ExitKind::OtherEngine, chain(&error)))?;
        let ours = Fingerprint::of(&engine).to_hex();
        if ours != self.engine {
            return Err((ExitKind::OtherEngine, format!("asked for {}, but this one is {ours}", self.engine)));
        }
        let mut component = Vec::new();
        io::stdin()
            .take(MAX_COMPONENT as u64 + 1)
            .read_to_end(&mut component)
            .map_err(io_failed("read the component"))?;
        let compiled = engine.precompile_component(&component).map_err(|error| {
            let kind = if out_of_memory(&error) { ExitKind::OutOfMemory } else { ExitKind::Refused };
            (kind, chain(&error))
        })?;
        let mut output = io::stdout().lock();
        output.write_all(&compiled).and_then(|()| output.flush()).map_err(io_failed("write the compiled component"))
    }

    /// Take the limits upon this process. A soft CPU limit ends it by a signal that tells the cause, the hard one a
    /// little later whatever happens.
    fn bind(&self) -> io::Result<()> {
        let set =
            |resource, soft: u64, hard: u64| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
        set(Resource::Core, 0, 0)?;
        set(Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 5)?;
        set(Resource::As, self.memory, self.memory)?;
        Ok(())
    }
}

fn out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::OutOfMemory)
            || cause.downcast_ref::<wasmtime::error::OutOfMemory>().is_some()
    })
}

/// Have `component` compiled by a child.
pub(super) async fn compile(
    exe: &Path,
    args: &[OsString],
    limits: CompileLimits,
    settings: CodeSettings,
    fingerprint: Fingerprint,
    component: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    let mut child = Command::new(exe)
        .args(args)
        .args(Order::args(settings, fingerprint, limits).iter().map(OsStr::new))
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| CompileError::Start { exe: exe.into(), source })?;

    let (Some(mut input), Some(output), Some(words)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(CompileError::Pipe(io::Error::other("a pipe is missing")));
    };
    let write = async move {
        // A child that refuses the order stops reading; its exit code says why.
        let _ = input.write_all(component).await;
        drop(input);
    };
    let talk = async {
        let ((), output, words) = tokio::join!(write, read_bounded(output, MAX_COMPILED), read_words(words));
        let status = child.wait().await;
        (status, output, words)
    };
    match tokio::time::timeout(limits.wall, talk).await {
        Ok((status, output, words)) => {
            let status = status.map_err(CompileError::Pipe)?;
            judge(exe, limits, status, words.trim())?;
            output.map_err(CompileError::Pipe)
        }
        // Dropping the child kills it.
        Err(_) => Err(CompileError::WallTime { limit: limits.wall }),
    }
}

/// What an exit status says.
fn judge(exe: &Path, limits: CompileLimits, status: ExitStatus, words: &str) -> Result<(), CompileError> {
    if let Some(signal) = status.signal() {
        return Err(match Signal::from_named_raw(signal) {
            Some(Signal::XCPU) => CompileError::CpuTime { limit: limits.cpu.max(Duration::from_secs(1)) },
            // A Rust program that gets no memory aborts.
            Some(Signal::ABORT) => CompileError::OutOfMemory { limit: limits.memory },
            _ => CompileError::Crashed { how: format!("{status}: {words}") },
        });
    }
    match status.code().and_then(ExitKind::of) {
        Some(ExitKind::Compiled) => Ok(()),
        Some(ExitKind::Refused) => Err(CompileError::Refused { message: words.into() }),
        Some(ExitKind::OutOfMemory) => Err(CompileError::OutOfMemory { limit: limits.memory }),
        Some(ExitKind::OtherEngine) => Err(CompileError::OtherEngine { exe: exe.into(), detail: words.into() }),
        Some(ExitKind::Usage | ExitKind::Io) | None => Err(CompileError::Crashed { how: format!("{status}: {words}") }),
    }
}

async fn read_bounded(pipe: impl AsyncRead + Unpin, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the compiled component is too large"));
    }
    Ok(bytes)
}

/// The first words, and the rest read away so that the child is never stuck on a full pipe.
async fn read_words(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut words = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = MAX_WORDS - words.len();
        words.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&words).into_owned()
}
