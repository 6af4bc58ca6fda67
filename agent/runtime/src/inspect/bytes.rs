//! Is it a component at all? If not: what is it, and how does one make a component of it?

/// What some bytes are instead of a component, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAComponent {
    /// Nothing.
    #[error("the file is empty")]
    Empty,
    /// Less than a binary's header.
    #[error("this file breaks off within the first 8 bytes of a WebAssembly binary")]
    Header,
    /// WebAssembly, but a core module.
    #[error(
        "this is a core module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// A core module of WASI's first version.
    #[error(
        "this is a core module for WASI 0.1 (wasm32-wasip1), not a component: build it for wasm32-wasip2, or wrap it \
         with `wasm-tools component new --adapt` and the adapter wasi_snapshot_preview1.reactor.wasm"
    )]
    Wasip1Module,
    /// WebAssembly in a binary format that is neither.
    #[error(
        "this is WebAssembly of an unknown binary version ({0:#010x}), perhaps a component of before WASI 0.2: \
         build it anew with current tools"
    )]
    OtherVersion(u32),
    /// WebAssembly in its text format.
    #[error("this is WebAssembly text: turn it into a binary with `wasm-tools parse`")]
    WasmText,
    /// Text of some other kind.
    #[error("this is a text file, not a WebAssembly component; its first line is `{0}`")]
    Text(String),
    /// A program for the machine itself.
    #[error("this is a native program, not a WebAssembly component: build it for wasm32-wasip2")]
    NativeProgram,
    /// Something compressed.
    #[error("this is a {0} file, not a WebAssembly component: unpack it first")]
    Archive(&'static str),
    /// Code that Wasmtime compiled.
    #[error("this is compiled code of Wasmtime's, which is never taken from outside: give the component itself")]
    Compiled,
    /// Bytes that say nothing.
    #[error("this is no WebAssembly: it begins with the bytes {0}, not with 00 61 73 6d")]
    Unknown(String),
}

const CORE_MODULE: u32 = 0x0000_0001;
const COMPONENT: u32 = 0x0001_000d;

/// Most characters of a first line that are shown.
const LINE_SHOWN: usize = 40;

/// Whether these bytes begin as a component does.
pub(super) fn check(bytes: &[u8]) -> Result<(), NotAComponent> {
    if bytes.is_empty() {
        return Err(NotAComponent::Empty);
    }
    let Some(behind) = bytes.strip_prefix(b"\0asm") else { return Err(foreign(bytes)) };
    let Some(version) = behind.first_chunk().map(|version| u32::from_le_bytes(*version)) else {
        return Err(NotAComponent::Header);
    };
    match version {
        COMPONENT => Ok(()),
        CORE_MODULE if imports_wasip1(bytes) => Err(NotAComponent::Wasip1Module),
        CORE_MODULE => Err(NotAComponent::CoreModule),
        version => Err(NotAComponent::OtherVersion(version)),
    }
}

fn imports_wasip1(module: &[u8]) -> bool {
    wasmparser::Parser::new(0).parse_all(module).map_while(Result::ok).any(|payload| match payload {
        wasmparser::Payload::ImportSection(section) => {
            section.into_imports().flatten().any(|import| import.module == "wasi_snapshot_preview1")
        }
        _ => false,
    })
}

fn foreign(bytes: &[u8]) -> NotAComponent {
    // An ELF file is a program, unless its operating system is Wasmtime's own number for what it compiled.
    const WASMTIME_OS: u8 = 200;
    match bytes {
        [0x7f, b'E', b'L', b'F', _, _, _, WASMTIME_OS, ..] => return NotAComponent::Compiled,
        [0x7f, b'E', b'L', b'F', ..] | [b'M', b'Z', ..] | [0xcf, 0xfa, 0xed, 0xfe, ..] => {
            return NotAComponent::NativeProgram;
        }
        [0x1f, 0x8b, ..] => return NotAComponent::Archive("gzip"),
        [b'P', b'K', 3, 4, ..] => return NotAComponent::Archive("zip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return NotAComponent::Archive("zstd"),
        _ => {}
    }
    // Enough to know text by: a whole file may be large. A character that is cut off at the end does not count.
    let start = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return NotAComponent::Unknown(begins(bytes)),
    };
    let is_text = !text.is_empty() && text.chars().all(|char| !char.is_control() || char.is_whitespace());
    if !is_text {
        return NotAComponent::Unknown(begins(bytes));
    }
    let code = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(";;"));
    if code.is_some_and(|line| line.starts_with("(component") || line.starts_with("(module")) {
        return NotAComponent::WasmText;
    }
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(LINE_SHOWN).collect();
    if shown.len() < line.len() {
        shown.truncate(shown.trim_end().len());
        shown.push_str("...");
    }
    NotAComponent::Text(shown)
}

fn begins(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
