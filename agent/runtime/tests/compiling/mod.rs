//! What the tests share: components, compilers, and a count of warnings.

pub(crate) mod cache;
pub(crate) mod child;
pub(crate) mod key;

use std::path::PathBuf;

use bytes::Bytes;
use pigeon_runtime::{CacheConfig, CodeSettings, CompileError, CompileLimits, CompileMode, Compiler, KeyError, digest};
use wasmtime::component::Component;
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// A test by its name.
pub(crate) type Test = (&'static str, fn());

/// An engine as a runtime has it: the settings of the code, and a pool, which must not matter.
pub(crate) fn engine() -> Engine {
    let mut config = CodeSettings::default().config();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1).total_core_instances(2).total_memories(1).total_tables(1).total_stacks(1);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).unwrap()
}

/// This executable as the child.
pub(crate) fn child_mode(limits: CompileLimits) -> CompileMode {
    CompileMode::Child { exe: std::env::current_exe().unwrap(), args: vec![crate::CHILD.into()], limits }
}

/// A shell that does something else than compiling.
pub(crate) fn shell(script: &str, limits: CompileLimits) -> CompileMode {
    CompileMode::Child { exe: "/bin/sh".into(), args: vec!["-c".into(), script.into()], limits }
}

/// A child that cannot be started: whatever loads all the same came from the cache.
pub(crate) fn no_compiler() -> CompileMode {
    CompileMode::Child { exe: "/nonexistent/compiler".into(), args: Vec::new(), limits: CompileLimits::default() }
}

/// A compiler without a cache.
pub(crate) fn bare(mode: CompileMode) -> Compiler {
    Compiler::new(&engine(), CodeSettings::default(), mode, None).unwrap()
}

/// A small component that exports `name`.
pub(crate) fn component(name: &str) -> Bytes {
    wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const 7))
            (core instance $i (instantiate $m))
            (func (export "{name}") (result u32) (canon lift (core func $i "f"))))"#
    ))
    .unwrap()
    .into()
}

/// A component of `functions` functions that give the compiler some work each.
pub(crate) fn large_component(functions: usize) -> Bytes {
    let body = "(local.set 0 (i64.mul (i64.rotl (local.get 0) (i64.const 7)) (i64.add (local.get 0) (i64.const 3))))";
    let function = format!("(func (param i64) (result i64) {} (local.get 0))\n", body.repeat(200));
    let module = function.repeat(functions);
    wat::parse_str(format!("(component (core module {module}))")).unwrap().into()
}

/// Load on a runtime of tokio's.
pub(crate) fn load(compiler: &Compiler, component: &Bytes) -> Result<Component, CompileError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(compiler.load(digest(component), component.clone()))
}

/// A folder with a cache and its key beside it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("config/compile.key")
    }

    pub(crate) fn config(&self) -> CacheConfig {
        CacheConfig::new(self.dir(), self.key_file())
    }

    pub(crate) fn compiler(&self, mode: CompileMode) -> Compiler {
        self.try_compiler(mode).unwrap()
    }

    pub(crate) fn try_compiler(&self, mode: CompileMode) -> Result<Compiler, KeyError> {
        Compiler::new(&engine(), CodeSettings::default(), mode, Some(self.config()))
    }

    /// The files of the cache, by name.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The entry of this component.
    pub(crate) fn entry(&self, component: &Bytes) -> PathBuf {
        let start: String = digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
        let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
        self.entries().into_iter().find(is_it).unwrap()
    }
}
