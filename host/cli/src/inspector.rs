//! What a component is, found out by loading it.

use async_trait::async_trait;
use bytes::Bytes;
use pigeon_api::{
    ApiError, CodeSpec, ErrorKind, Inspected, InstancePolicy, MemoryNeed, OptionSpec, PluginKind, PluginMetadata,
    Severity, Vote,
};
use pigeon_control::Inspector;
use pigeon_runtime::{CompileError, LoadError, Metadata, Runtime, World};

/// Inspects components with the runtime that will run them, so that they are compiled once.
pub struct RuntimeInspector {
    runtime: Runtime,
}

impl RuntimeInspector {
    /// An inspector over this runtime.
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }
}

#[async_trait]
impl Inspector for RuntimeInspector {
    async fn inspect(&self, component: Bytes) -> Result<Inspected, ApiError> {
        let plugin = self.runtime.load(component).await.map_err(refused)?;
        Ok(Inspected {
            kind: match plugin.world() {
                World::Validator => PluginKind::Validator,
                World::BatchValidator => PluginKind::BatchValidator,
            },
            metadata: metadata(plugin.metadata()),
            imports: plugin.imports().to_vec(),
            powers: plugin.powers().to_vec(),
        })
    }
}

fn refused(error: LoadError) -> ApiError {
    let (kind, hint) = match &error {
        LoadError::Inspect(_) | LoadError::Link(_) => {
            (ErrorKind::BadRequest, "a validator is a component of the world `validator` of pigeon:plugin (see wit/)")
        }
        LoadError::Metadata(_) | LoadError::Unsound(_) => {
            (ErrorKind::BadRequest, "`metadata` must answer without options, always the same, and call nothing")
        }
        LoadError::TooManyParts { .. } => (ErrorKind::BadRequest, "compose it of fewer components"),
        LoadError::Compile(
            CompileError::Start { .. }
            | CompileError::OtherEngine { .. }
            | CompileError::Pipe(_)
            | CompileError::Crashed { .. }
            | CompileError::Load { .. },
        ) => (ErrorKind::Internal, "the compiler is this very program, started again: is anything in its way?"),
        LoadError::Compile(_) => {
            (ErrorKind::BadRequest, "is it a component that this version of Wasmtime can compile?")
        }
        LoadError::Lost(_) => (ErrorKind::Internal, "try again"),
    };
    ApiError::new(kind, "failed to load the component").hint(hint).caused_by(error)
}

fn metadata(metadata: &Metadata) -> PluginMetadata {
    PluginMetadata {
        name: metadata.name.clone(),
        version: metadata.version.clone(),
        description: metadata.description.clone(),
        formats: metadata.formats.clone(),
        options: metadata
            .options
            .iter()
            .map(|option| OptionSpec {
                name: option.name.clone(),
                description: option.description.clone(),
                default: option.default.clone(),
                required: option.required,
            })
            .collect(),
        codes: metadata
            .codes
            .iter()
            .map(|code| CodeSpec {
                code: code.code.clone(),
                severity: code.severity.map(severity),
                description: code.description.clone(),
            })
            .collect(),
        instances: if metadata.shared { InstancePolicy::Shared } else { InstancePolicy::Fresh },
        vote: match metadata.vote {
            pigeon_runtime::Vote::Worst => Vote::Worst,
            pigeon_runtime::Vote::Majority => Vote::Majority,
        },
        memory: MemoryNeed { base: metadata.memory_base, factor: metadata.memory_factor },
        models: metadata.models.clone(),
        extensions: metadata.extensions.clone(),
    }
}

fn severity(severity: pigeon_runtime::Severity) -> Severity {
    match severity {
        pigeon_runtime::Severity::Error => Severity::Error,
        pigeon_runtime::Severity::Warning => Severity::Warning,
        pigeon_runtime::Severity::Info => Severity::Info,
    }
}
