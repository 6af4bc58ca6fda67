//! The contract's exports: their types as they lie in a guest's memory, and how they are called.
//!
//! Items are lowered straight from the bytes that they came in. Answers are lifted through [`Metered`], which counts
//! every text and list against the answer's allowance *before* it is copied: a guest that names one string of a
//! megabyte a hundred times ends with a cause of ours, and the host has copied no more than was allowed.

use std::cell::Cell;

use wasmtime::{
    Store,
    component::{
        __internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext},
        Component, ComponentExportIndex, ComponentType, Func, Instance, Lift, Lower, TypedFunc,
    },
};

use crate::{host::Ctx, meter::Stop};

thread_local! {
    /// What the answer that is lifted next on this thread may still cost the host, in bytes.
    static ALLOWANCE: Cell<usize> = const { Cell::new(0) };
}

/// Sets what the answer that is lifted next on this thread may cost the host.
pub(crate) fn allow(bytes: usize) {
    ALLOWANCE.set(bytes);
}

/// A text or list of an answer.
pub(crate) struct Metered<T>(pub(crate) T);

/// A text that is counted.
pub(crate) type Text = Metered<String>;
/// A list that is counted.
pub(crate) type List<T> = Metered<Vec<T>>;

/// What lies in linear memory as a pointer and a length.
trait Counted {
    /// Bytes of the host's memory that one unit of the length costs, at least.
    const UNIT: usize;
}

impl Counted for String {
    const UNIT: usize = 1;
}

impl<T> Counted for Vec<T> {
    const UNIT: usize = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
}

// SAFETY: everything is that of `T`, to which every call goes.
unsafe impl<T: ComponentType> ComponentType for Metered<T> {
    type Lower = T::Lower;
    const ABI: CanonicalAbiInfo = T::ABI;
    const MAY_REQUIRE_REALLOC: bool = T::MAY_REQUIRE_REALLOC;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: `T` itself lifts; what stands before that only reads the two words that `T` will read too.
unsafe impl<T: Lift + Counted> Lift for Metered<T> {
    fn linear_lift_from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &Self::Lower) -> wasmtime::Result<Self> {
        // An answer with a text or list in it is more than one word, so it always comes through memory.
        Err(Stop::Answer.into())
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> wasmtime::Result<Self> {
        let word = bytes.get(4..8).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        // The highest bit tells an encoding of text and is no part of the length.
        let length = word.ok_or(Stop::Answer)? & (u32::MAX >> 1);
        let cost = (length as usize).saturating_mul(T::UNIT);
        let left = ALLOWANCE.get().checked_sub(cost).ok_or(Stop::Output)?;
        ALLOWANCE.set(left);
        T::linear_lift_from_memory(cx, ty, bytes).map(Metered)
    }
}

/// An item on its way into a guest.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct ItemRef<'a> {
    pub(crate) id: &'a str,
    pub(crate) body: &'a [u8],
}

#[derive(ComponentType, Lift, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
pub(crate) enum Severity {
    #[component(name = "error")]
    Error,
    #[component(name = "warning")]
    Warning,
    #[component(name = "info")]
    Info,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Place {
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    pub(crate) offset: Option<u64>,
    pub(crate) pointer: Option<Text>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) code: Text,
    pub(crate) message: Text,
    pub(crate) place: Option<Place>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Counts {
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
    pub(crate) infos: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Judgement {
    pub(crate) findings: List<Finding>,
    pub(crate) omitted: Counts,
    pub(crate) score: Option<f64>,
    pub(crate) data: Option<Text>,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
pub(crate) enum FailureKind {
    #[component(name = "permanent")]
    Permanent,
    #[component(name = "transient")]
    Transient,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) code: Text,
    pub(crate) message: Text,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OptionSpec {
    pub(crate) name: Text,
    pub(crate) description: Text,
    pub(crate) default: Option<Text>,
    pub(crate) required: bool,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct CodeSpec {
    pub(crate) code: Text,
    pub(crate) severity: Option<Severity>,
    pub(crate) description: Text,
}

#[derive(ComponentType, Lift, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
pub(crate) enum InstancePolicy {
    #[component(name = "fresh")]
    Fresh,
    #[component(name = "shared")]
    Shared,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
pub(crate) enum Vote {
    #[component(name = "worst")]
    Worst,
    #[component(name = "majority")]
    Majority,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct MemoryNeed {
    pub(crate) base: u64,
    pub(crate) factor: f64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Metadata {
    pub(crate) name: Text,
    pub(crate) version: Text,
    pub(crate) description: Text,
    pub(crate) formats: List<Text>,
    pub(crate) options: List<OptionSpec>,
    pub(crate) codes: List<CodeSpec>,
    pub(crate) instances: InstancePolicy,
    pub(crate) vote: Vote,
    pub(crate) memory: MemoryNeed,
    pub(crate) models: List<Text>,
    pub(crate) extensions: List<(Text, Text)>,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them out of numbers")]
pub(crate) enum Expectation {
    #[component(name = "valid")]
    Valid,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "any")]
    Any,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Item {
    pub(crate) id: Text,
    pub(crate) body: List<u8>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct TestCase {
    pub(crate) item: Item,
    pub(crate) expected: Expectation,
    pub(crate) description: Text,
}

/// A run's answer as the guest gave it.
pub(crate) type Answer = Result<Judgement, Failure>;

type Validate<'a> = TypedFunc<(ItemRef<'a>,), (Answer,)>;
type ValidateBatch<'a> = TypedFunc<(&'a [ItemRef<'a>],), (List<Answer>,)>;
type AskMetadata = TypedFunc<(), (Metadata,)>;
type GenerateTestCases = TypedFunc<(u32, u64), (Result<List<TestCase>, Failure>,)>;

/// Interface that every validator exports.
const VALIDATION: &str = "pigeon:plugin/validation@0.1.0";
/// Interface that a batch validator exports besides.
const BATCH_VALIDATION: &str = "pigeon:plugin/batch-validation@0.1.0";

/// An instance, with its `validate` once that was looked up.
pub(crate) struct Made {
    instance: Instance,
    validate: Option<Func>,
}

impl From<Instance> for Made {
    fn from(instance: Instance) -> Self {
        Self { instance, validate: None }
    }
}

/// Where a component has its exports. Their types are checked once, by [`Exports::check`], when it is loaded.
#[derive(Clone)]
pub(crate) struct Exports {
    validate: ComponentExportIndex,
    metadata: ComponentExportIndex,
    generate_test_cases: ComponentExportIndex,
    validate_batch: Option<ComponentExportIndex>,
}

impl Exports {
    /// Looks them up.
    pub(crate) fn of(component: &Component) -> wasmtime::Result<Exports> {
        let find = |interface: &ComponentExportIndex, name: &str| {
            let found = component.get_export_index(Some(interface), name);
            found.ok_or_else(|| wasmtime::format_err!("the interface has no function {name}"))
        };
        let validation = component
            .get_export_index(None, VALIDATION)
            .ok_or_else(|| wasmtime::format_err!("the component does not export {VALIDATION}"))?;
        let validate_batch = match component.get_export_index(None, BATCH_VALIDATION) {
            Some(interface) => Some(find(&interface, "validate-batch")?),
            None => None,
        };
        Ok(Exports {
            validate: find(&validation, "validate")?,
            metadata: find(&validation, "metadata")?,
            generate_test_cases: find(&validation, "generate-test-cases")?,
            validate_batch,
        })
    }

    /// Checks the types of all exports against ours.
    pub(crate) fn check(&self, made: &Made, store: &mut Store<Box<Ctx>>) -> wasmtime::Result<()> {
        let instance = &made.instance;
        func(instance, store, &self.metadata)?.typed::<(), (Metadata,)>(&*store)?;
        func(instance, store, &self.validate)?.typed::<(ItemRef<'_>,), (Answer,)>(&*store)?;
        func(instance, store, &self.generate_test_cases)?
            .typed::<(u32, u64), (Result<List<TestCase>, Failure>,)>(&*store)?;
        if let Some(index) = &self.validate_batch {
            func(instance, store, index)?.typed::<(&[ItemRef<'_>],), (List<Answer>,)>(&*store)?;
        }
        Ok(())
    }

    /// Judges an item.
    pub(crate) async fn validate(
        &self,
        made: &mut Made,
        store: &mut Store<Box<Ctx>>,
        item: ItemRef<'_>,
    ) -> wasmtime::Result<Answer> {
        let func = match made.validate {
            Some(func) => func,
            None => *made.validate.insert(func(&made.instance, store, &self.validate)?),
        };
        // SAFETY: `check` compared the types when the component was loaded, and every instance has the same.
        let func: Validate<'_> = unsafe { TypedFunc::new_unchecked(func) };
        Ok(func.call_async(store, (item,)).await?.0)
    }

    /// Judges several items together.
    pub(crate) async fn validate_batch(
        &self,
        made: &Made,
        store: &mut Store<Box<Ctx>>,
        items: &[ItemRef<'_>],
    ) -> wasmtime::Result<Vec<Answer>> {
        let index = self.validate_batch.as_ref().ok_or(Stop::Answer)?;
        let func = func(&made.instance, store, index)?;
        // SAFETY: `check` compared the types when the component was loaded, and every instance has the same.
        let func: ValidateBatch<'_> = unsafe { TypedFunc::new_unchecked(func) };
        Ok(func.call_async(store, (items,)).await?.0.0)
    }

    /// Asks what the plugin is.
    pub(crate) async fn metadata(&self, made: &Made, store: &mut Store<Box<Ctx>>) -> wasmtime::Result<Metadata> {
        let func = func(&made.instance, store, &self.metadata)?;
        // SAFETY: `check` compared the types when the component was loaded, and every instance has the same.
        let func: AskMetadata = unsafe { TypedFunc::new_unchecked(func) };
        Ok(func.call_async(store, ()).await?.0)
    }

    /// Asks for items to test with.
    pub(crate) async fn generate_test_cases(
        &self,
        made: &Made,
        store: &mut Store<Box<Ctx>>,
        count: u32,
        seed: u64,
    ) -> wasmtime::Result<Result<Vec<TestCase>, Failure>> {
        let func = func(&made.instance, store, &self.generate_test_cases)?;
        // SAFETY: `check` compared the types when the component was loaded, and every instance has the same.
        let func: GenerateTestCases = unsafe { TypedFunc::new_unchecked(func) };
        Ok(func.call_async(store, (count, seed)).await?.0.map(|cases| cases.0))
    }
}

fn func(instance: &Instance, store: &mut Store<Box<Ctx>>, index: &ComponentExportIndex) -> wasmtime::Result<Func> {
    instance.get_func(store, index).ok_or_else(|| wasmtime::format_err!("an export of the component is no function"))
}
