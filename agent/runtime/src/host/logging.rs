//! `wasi:logging`: a line of the run's log a message. Written by hand so that the texts are read where they lie in the
//! guest's memory: a message of 100 MB costs the host what it keeps of it.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, WasmStr},
};

use super::Ctx;

/// The longest part of one message that is looked at, in bytes: more than any log may keep.
const LONGEST: usize = 1 << 20;

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

pub(super) fn add(linker: &mut Linker<Box<Ctx>>) -> wasmtime::Result<()> {
    linker.instance("wasi:logging/logging@0.1.0-draft")?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, Box<Ctx>>, (level, context, message): (Level, WasmStr, WasmStr)| {
            let line = {
                let (context, message) = (context.to_str(&store)?, message.to_str(&store)?);
                let name = level.name();
                let (context, message) = (cut(&context), cut(&message));
                if context.is_empty() {
                    format!("{name}: {message}\n")
                } else {
                    format!("{name} {context}: {message}\n")
                }
            };
            store.data_mut().effects.log(line.as_bytes());
            Ok(())
        },
    )
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
