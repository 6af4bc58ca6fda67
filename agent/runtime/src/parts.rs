//! How many parts a component has, so that the pool's room is shared out by what its instances take.

use wasmparser::{Parser, Payload};

/// Core instances that the component and those inside it make, as an upper bound: those that only re-export are counted
/// too. 1 for bytes that are no component; compiling will say what they are.
pub(crate) fn core_instances(component: &[u8]) -> u32 {
    let count = Parser::new(0).parse_all(component).map_while(Result::ok).fold(0_u32, |count, payload| match payload {
        Payload::InstanceSection(section) => count.saturating_add(section.count()),
        _ => count,
    });
    count.max(1)
}
