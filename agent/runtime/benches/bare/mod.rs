//! The baseline: Wasmtime as its book has it, on one thread, with nothing of ours around it but the linker's stubs.

use wasmtime::{
    Engine, Store,
    component::{Component, HasData, InstancePre, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "pigeon:plugin/validator",
    ownership: Borrowing { duplicate_if_necessary: true },
});

use pigeon::plugin::{run, types::ItemParam};
use wasi::{config::store, logging::logging};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

// What the built-in validators import beyond WASI. None of them asks a model.

impl store::Host for State {
    fn get(&mut self, _: String) -> Result<Option<String>, store::Error> {
        Ok(None)
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, store::Error> {
        Ok(Vec::new())
    }
}

impl logging::Host for State {
    fn log(&mut self, _: logging::Level, _: String, _: String) {}
}

impl run::Host for State {
    fn iteration(&mut self) -> u32 {
        0
    }

    fn worker(&mut self) -> u32 {
        0
    }

    fn seed(&mut self) -> u64 {
        0
    }
}

struct Whole;

impl HasData for Whole {
    type Data<'a> = &'a mut State;
}

/// A loop over a component's `validate`.
pub(crate) struct Loop {
    engine: Engine,
    pre: ValidatorPre<State>,
    shared: bool,
}

impl Loop {
    /// With one instance for all items, or one for each.
    pub(crate) fn new(component: &[u8], shared: bool) -> Loop {
        let mut config = pigeon_runtime::CodeSettings::default().config();
        let pool = wasmtime::PoolingAllocationConfig::new();
        config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        store::add_to_linker::<_, Whole>(&mut linker, |state| state).unwrap();
        logging::add_to_linker::<_, Whole>(&mut linker, |state| state).unwrap();
        run::add_to_linker::<_, Whole>(&mut linker, |state| state).unwrap();
        let pre: InstancePre<State> = linker.instantiate_pre(&component).unwrap();
        Loop { engine, pre: ValidatorPre::new(pre).unwrap(), shared }
    }

    /// So many items.
    pub(crate) fn run(&mut self, body: &[u8], items: usize) {
        let mut instance = None;
        for _ in 0..items {
            let (mut store, validator) = match instance.take() {
                Some(instance) if self.shared => instance,
                _ => {
                    let state = State { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
                    let mut store = Store::new(&self.engine, state);
                    store.set_epoch_deadline(u64::MAX / 2);
                    let validator = self.pre.instantiate(&mut store).unwrap();
                    (store, validator)
                }
            };
            let item = ItemParam { id: "fibonacci.json", body };
            let answer = validator.pigeon_plugin_validation().call_validate(&mut store, item).unwrap();
            assert!(answer.is_ok());
            instance = Some((store, validator));
        }
    }
}
