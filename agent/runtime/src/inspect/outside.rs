//! A component's outside, as its binary states it: imports and exports with the functions in them.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::TypesRef;
use wasmparser::{Parser, Payload, ValidPayload, Validator, WasmFeatures};

use super::InspectError;

/// What is imported and exported, in the component's own order.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) imports: Vec<Item>,
    pub(super) exports: Vec<Item>,
}

/// One import or export.
#[derive(Debug)]
pub(super) struct Item {
    /// Such as `wasi:io/poll@0.2.6`, or a bare name.
    pub(super) name: String,
    pub(super) shape: Shape,
}

/// Of which kind it is.
#[derive(Debug)]
pub(super) enum Shape {
    /// An interface.
    Interface {
        /// Names of its functions, methods among them.
        functions: Vec<String>,
        /// Whether it makes resources of its own.
        resources: bool,
    },
    /// A function that stands in no interface.
    Function,
    /// A type: whoever imports it needs nothing from us.
    Type,
    /// A module, a component or a value.
    Other,
}

impl Outside {
    /// Read it. Everything but the bodies of functions is validated on the way, with every feature of WebAssembly that
    /// there is: what the engine lacks, it says itself, better.
    pub(super) fn read(component: &[u8]) -> Result<Outside, InspectError> {
        let failed = |error: wasmparser::Error| {
            // The parser tells the end of its input by this text alone. It only chooses between two wordings.
            if error.message().starts_with("unexpected end") {
                InspectError::Truncated { size: component.len() }
            } else {
                let message = error.message().lines().last().unwrap_or_default().to_owned();
                InspectError::Malformed { offset: error.offset(), message }
            }
        };
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut names = Names::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(failed)?;
            match &payload {
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section.clone() {
                        names.imports.push(import.map_err(failed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section.clone() {
                        names.exports.push(export.map_err(failed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
            match validator.payload(&payload).map_err(failed)? {
                ValidPayload::Parser(_) => depth += 1,
                ValidPayload::End(_) if depth > 0 => depth -= 1,
                ValidPayload::End(types) => return Ok(names.resolve(types.as_ref())),
                ValidPayload::Ok | ValidPayload::Func(..) => {}
            }
        }
        Err(InspectError::Truncated { size: component.len() })
    }
}

#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    fn resolve(self, types: TypesRef<'_>) -> Outside {
        let item = |name: String, found: Option<ComponentEntityType>| {
            let shape = found.map_or(Shape::Other, |ty| shape(types, ty));
            Item { name, shape }
        };
        Outside {
            imports: self
                .imports
                .into_iter()
                .map(|name| {
                    let found = types.component_item_for_import(&name).map(|item| item.ty);
                    item(name, found)
                })
                .collect(),
            exports: self
                .exports
                .into_iter()
                .map(|name| {
                    let found = types.component_item_for_export(&name).map(|item| item.ty);
                    item(name, found)
                })
                .collect(),
        }
    }
}

fn shape(types: TypesRef<'_>, ty: ComponentEntityType) -> Shape {
    match ty {
        ComponentEntityType::Func(_) => Shape::Function,
        ComponentEntityType::Type { .. } => Shape::Type,
        ComponentEntityType::Instance(id) => {
            let instance = &types[id];
            let is_function = |ty: &ComponentEntityType| matches!(ty, ComponentEntityType::Func(_));
            let functions = instance.exports.iter().filter(|(_, item)| is_function(&item.ty));
            Shape::Interface {
                functions: functions.map(|(name, _)| name.clone()).collect(),
                resources: !instance.defined_resources.is_empty(),
            }
        }
        ComponentEntityType::Module(_) | ComponentEntityType::Value(_) | ComponentEntityType::Component(_) => {
            Shape::Other
        }
    }
}
