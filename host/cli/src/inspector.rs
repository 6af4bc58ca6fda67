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

#[cfg(test)]
mod tests {
    use pigeon_control::MOST_MEMORY;
    use pigeon_runtime::RuntimeConfig;

    use super::*;

    /// The control host says beforehand what agents would refuse: both have to reckon the same.
    #[test]
    fn the_memory_that_a_run_may_have_is_reckoned_in_one_way() {
        assert_eq!(MOST_MEMORY, RuntimeConfig::default().max_memory);
        for memory_base in [0, 1, 16 << 20, MOST_MEMORY, u64::MAX] {
            for memory_factor in [0.0, 0.1, 1.0, 1.5, 24.0, 1e12, f64::MAX] {
                let said = Metadata {
                    name: "plugin".to_owned(),
                    version: "1.0.0".to_owned(),
                    description: String::new(),
                    formats: Vec::new(),
                    options: Vec::new(),
                    codes: Vec::new(),
                    shared: false,
                    vote: pigeon_runtime::Vote::Worst,
                    memory_base,
                    memory_factor,
                    models: Vec::new(),
                    extensions: Vec::new(),
                };
                let need = metadata(&said).memory;
                for body in [0, 1, 3, 1000, (42 << 20) + 1, MOST_MEMORY, u64::MAX] {
                    assert_eq!(need.of(body), said.memory(body), "{memory_base} + {memory_factor} x {body}");
                }
            }
        }
    }
}
