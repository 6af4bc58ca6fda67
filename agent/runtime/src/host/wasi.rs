//! WASI 0.2, whole but empty. What a guest could tell the world or the time by is ours and ends in `Effects`.

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    cli::{WasiCli, WasiCliView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{
        self, DynPollable, OutputStream, Pollable, StreamResult,
        bindings::{
            cli, clocks, filesystem,
            io::{error, poll, streams},
            random, sockets,
        },
    },
    sockets::{WasiSockets, WasiSocketsView},
};

use super::{Ctx, HasCtx, whole};
use crate::journal::Journal;

/// Randomness that a guest may ask for at once, in bytes.
const MAX_RANDOM: u64 = 16 << 20;

/// Bytes that a guest may write to a stream at once.
const WRITE_AT_ONCE: usize = 64 << 10;

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

fn table(ctx: &mut Box<Ctx>) -> &mut ResourceTable {
    &mut ctx.table
}

pub(super) fn add(l: &mut Linker<Box<Ctx>>) -> wasmtime::Result<()> {
    // Ours.
    clocks::wall_clock::add_to_linker::<_, HasCtx>(l, whole)?;
    clocks::monotonic_clock::add_to_linker::<_, HasCtx>(l, whole)?;
    poll::add_to_linker::<_, HasCtx>(l, whole)?;
    random::random::add_to_linker::<_, HasCtx>(l, whole)?;
    random::insecure::add_to_linker::<_, HasCtx>(l, whole)?;
    random::insecure_seed::add_to_linker::<_, HasCtx>(l, whole)?;
    cli::environment::add_to_linker::<_, HasCtx>(l, whole)?;
    cli::stdout::add_to_linker::<_, HasCtx>(l, whole)?;
    cli::stderr::add_to_linker::<_, HasCtx>(l, whole)?;
    // Wasmtime's, over what we put into the table.
    error::add_to_linker::<_, HasTable>(l, table)?;
    streams::add_to_linker::<_, HasTable>(l, table)?;
    // Wasmtime's, over a context that has nothing.
    cli::stdin::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::exit::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, |c| WasiCliView::cli(&mut **c))?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, |c| WasiFilesystemView::filesystem(&mut **c))?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, |c| WasiFilesystemView::filesystem(&mut **c))?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, WasiSockets>(l, &options, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::udp::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, |c| WasiSocketsView::sockets(&mut **c))?;
    Ok(())
}

// Clocks, and waiting for them.

impl clocks::wall_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        let now = self.effects.wall();
        Ok(clocks::wall_clock::Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1_000 })
    }
}

impl clocks::monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.effects.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = self.table.push(Deadline)?;
        let pollable = p2::subscribe(&mut self.table, deadline)?;
        self.deadlines.insert(pollable.rep(), when);
        Ok(pollable)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.effects.elapsed().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

/// Stands in the table for a deadline, which is kept beside it: see [`Ctx::deadlines`].
struct Deadline;

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {}
}

impl Ctx {
    /// When this pollable is ready. What waits for no clock is ready always: standard input is at its end, and the log
    /// takes everything.
    fn ready_at(&self, pollable: &Resource<DynPollable>) -> wasmtime::Result<u64> {
        self.table.get(pollable)?;
        Ok(self.deadlines.get(&pollable.rep()).copied().unwrap_or(0))
    }
}

impl poll::Host for Ctx {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let times = pollables.iter().map(|pollable| self.ready_at(pollable)).collect::<wasmtime::Result<Vec<_>>>()?;
        let Some(earliest) = times.iter().min().copied() else {
            return Err(wasmtime::format_err!("empty poll list"));
        };
        self.wait_until(earliest).await;
        let now = self.effects.elapsed();
        Ok((0..).zip(times).filter_map(|(index, time)| (time <= now).then_some(index)).collect())
    }
}

impl poll::HostPollable for Ctx {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let ready = self.ready_at(&pollable)? <= self.effects.elapsed();
        if !ready {
            // A guest that asks in a loop makes time pass, as one that reads the clock does.
            self.effects.monotonic();
        }
        Ok(ready)
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let time = self.ready_at(&pollable)?;
        self.wait_until(time).await;
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.deadlines.remove(&pollable.rep());
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}

impl Ctx {
    async fn wait_until(&mut self, time: u64) {
        if time > self.effects.elapsed() {
            self.effects.wait(time).await;
        }
    }
}

// Randomness.

impl Ctx {
    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > MAX_RANDOM {
            wasmtime::bail!("{len} random bytes asked for at once, more than {MAX_RANDOM}");
        }
        // No more than MAX_RANDOM.
        let mut bytes = vec![0; len as usize];
        self.effects.random(&mut bytes);
        Ok(bytes)
    }

    fn random_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.effects.random(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl random::random::Host for Ctx {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl random::insecure::Host for Ctx {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random_u64())
    }
}

impl random::insecure_seed::Host for Ctx {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_u64(), self.random_u64()))
    }
}

// Environment and standard streams.

impl cli::environment::Host for Ctx {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl cli::stdout::Host for Ctx {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<streams::OutputStream>> {
        let stream: Box<dyn OutputStream> = Box::new(LogStream(self.effects.stdio()));
        Ok(self.table.push(stream)?)
    }
}

impl cli::stderr::Host for Ctx {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<streams::OutputStream>> {
        cli::stdout::Host::get_stdout(self)
    }
}

/// A stream that ends in the run's log.
struct LogStream(Journal);

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_AT_ONCE)
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
