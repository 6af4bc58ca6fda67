//! The results of a job's items, read page by page.

use std::{collections::VecDeque, sync::Arc};

use futures::stream::{self, BoxStream, StreamExt as _};
use pigeon_api::{ItemResult, Result, Vote};
use pigeon_protocol::id::{JobId, RunIndex, Shape};
use pigeon_store::{ItemName, Store};

use crate::{error::store_error, record, verdicts::ItemRuns};

/// Outcomes read at a time. Those of a batch lie together, and a page that ends within it reads it again.
const PAGE: usize = 16 << 10;

/// Items named at a time.
const NAMES: usize = 4096;

/// Stretches of names kept.
const STRETCHES: usize = 8;

/// The items that have an outcome, in order, some at a time.
pub(crate) fn items(
    store: Arc<dyn Store>,
    job: JobId,
    shape: Shape,
    vote: Vote,
) -> BoxStream<'static, Result<Vec<ItemResult>>> {
    let reader = Reader { names: Names::new(store.clone(), job), store, job, shape, vote, next: Some(0), open: None };
    stream::unfold(reader, |mut reader| async move {
        let page = reader.page().await.transpose()?;
        Some((page, reader))
    })
    .boxed()
}

struct Reader {
    store: Arc<dyn Store>,
    job: JobId,
    shape: Shape,
    vote: Vote,
    names: Names,
    /// The run to go on from; `None` at the end.
    next: Option<u64>,
    /// The item whose runs may go on in the next page.
    open: Option<ItemRuns>,
}

impl Reader {
    async fn page(&mut self) -> Result<Option<Vec<ItemResult>>> {
        let Some(from) = self.next else { return Ok(None) };
        let attempted = || format!("failed to read the results of job {}", self.job);
        let rows = self.store.results(self.job, RunIndex(from), PAGE).await;
        let rows = rows.map_err(|error| store_error(attempted(), error))?;
        let mut done = Vec::with_capacity(rows.len() + 1);
        self.next = rows.last().map(|row| row.run.0 + 1);
        for row in &rows {
            let item = self.shape.key(row.run).item;
            if self.open.as_ref().is_none_or(|open| open.index() != item) {
                self.close(&mut done).await?;
            }
            let open = self.open.get_or_insert_with(|| ItemRuns::new(item));
            open.add(row.verdict, row.time_us, || record::outcome(row));
        }
        if self.next.is_none() {
            self.close(&mut done).await?;
        }
        Ok(Some(done))
    }

    async fn close(&mut self, done: &mut Vec<ItemResult>) -> Result<()> {
        if let Some(open) = self.open.take() {
            let name = self.names.of(open.index()).await?;
            done.push(open.finish(name.id, name.line, self.vote));
        }
        Ok(())
    }
}

/// The names of items, read some at a time. Meant for indices that ascend, more or less, in some places at once.
pub(crate) struct Names {
    store: Arc<dyn Store>,
    job: JobId,
    /// Stretches of names, by the index of their first: the one used last stands first. Several, because batches of
    /// several agents land in turn.
    stretches: VecDeque<(u64, Vec<ItemName>)>,
}

impl Names {
    pub(crate) fn new(store: Arc<dyn Store>, job: JobId) -> Self {
        Self { store, job, stretches: VecDeque::new() }
    }

    /// The name of the item with this index.
    pub(crate) async fn of(&mut self, index: u64) -> Result<ItemName> {
        let holds = |(first, names): &(u64, Vec<ItemName>)| index >= *first && index - first < names.len() as u64;
        match self.stretches.iter().position(holds) {
            Some(0) => {}
            Some(at) => self.stretches.swap(0, at),
            None => {
                let attempted = || format!("failed to read the items of job {}", self.job);
                let names = self.store.item_names(self.job, index, NAMES).await;
                let names = names.map_err(|error| store_error(attempted(), error))?;
                self.stretches.truncate(STRETCHES - 1);
                self.stretches.push_front((index, names));
            }
        }
        let named = self.stretches.front().and_then(|(first, names)| names.get((index - first) as usize));
        // An outcome is only recorded of an item that is there.
        Ok(named.cloned().unwrap_or_else(|| ItemName { id: format!("item {index}"), line: 0 }))
    }
}
