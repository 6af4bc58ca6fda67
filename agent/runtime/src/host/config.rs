//! `wasi:config/store`, the job's options, and `pigeon:plugin/run`, what a run may know of itself.

use super::{
    Ctx,
    bindings::{pigeon::plugin::run, wasi::config::store},
};

impl store::Host for Ctx {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        Ok(Ok(self.effects.option(&key)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        Ok(Ok(self.effects.options()))
    }
}

impl run::Host for Ctx {
    fn iteration(&mut self) -> wasmtime::Result<u32> {
        Ok(self.effects.run().iteration)
    }

    fn worker(&mut self) -> wasmtime::Result<u32> {
        Ok(self.effects.run().place)
    }

    fn seed(&mut self) -> wasmtime::Result<u64> {
        Ok(self.effects.run().seed)
    }
}
