//! The results of a job's items, read page by page.

use std::{collections::VecDeque, sync::Arc};

use futures::stream::{self, BoxStream, StreamExt as _};
use pigeon_api::{ApiError, ErrorKind, ItemResult, Result, Vote};
use pigeon_protocol::id::{JobId, RunIndex, Shape};
use pigeon_store::{ItemName, OutcomeRow, Store};
use tokio_util::task::AbortOnDropHandle;

use crate::{error::store_error, verdicts::ItemRuns};

/// Outcomes read at a time.
const PAGE: usize = 4096;

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
    let mut reader = Reader { names: Names::new(store.clone(), job), store, job, shape, vote, ahead: None, open: None };
    reader.read_ahead(0);
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
    /// The page that is read while the one before is made use of, and no longer; `None` at the end.
    ahead: Option<AbortOnDropHandle<pigeon_store::Result<Vec<OutcomeRow>>>>,
    /// The item whose runs may go on in the next page.
    open: Option<ItemRuns>,
}

impl Reader {
    /// Begin to read the page from this run on.
    fn read_ahead(&mut self, from: u64) {
        let (store, job) = (self.store.clone(), self.job);
        let read = tokio::spawn(async move { store.results(job, RunIndex(from), PAGE).await });
        self.ahead = Some(AbortOnDropHandle::new(read));
    }

    async fn page(&mut self) -> Result<Option<Vec<ItemResult>>> {
        let Some(ahead) = self.ahead.take() else { return Ok(None) };
        let attempted = || format!("failed to read the results of job {}", self.job);
        let rows = ahead.await.map_err(|lost| ApiError::new(ErrorKind::Internal, attempted()).caused_by(lost))?;
        let rows = rows.map_err(|error| store_error(attempted(), error))?;
        if let Some(last) = rows.last() {
            self.read_ahead(last.run.0 + 1);
        }
        let mut done = Vec::with_capacity(rows.len() + 1);
        for row in &rows {
            let item = self.shape.key(row.run).item;
            if self.open.as_ref().is_none_or(|open| open.index() != item) {
                self.close(&mut done).await?;
            }
            let open = self.open.get_or_insert_with(|| ItemRuns::new(item));
            open.add(row);
        }
        if self.ahead.is_none() {
            self.close(&mut done).await?;
        }
        Ok(Some(done))
    }

    async fn close(&mut self, done: &mut Vec<ItemResult>) -> Result<()> {
        if let Some(open) = self.open.take() {
            // Each item is closed once, so nobody asks for its name again.
            let ItemName { id, line } = std::mem::take(self.names.of(open.index()).await?);
            done.push(open.finish(id, line, self.vote));
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
    missing: Option<ItemName>,
}

impl Names {
    pub(crate) fn new(store: Arc<dyn Store>, job: JobId) -> Self {
        Self { store, job, stretches: VecDeque::new(), missing: None }
    }

    /// The name of the item with this index.
    pub(crate) async fn of(&mut self, index: u64) -> Result<&mut ItemName> {
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
        let named = self.stretches.front_mut();
        let named = named.and_then(|(first, names)| names.get_mut(usize::try_from(index - *first).ok()?));
        // An outcome is only recorded of an item that is there.
        Ok(named.unwrap_or_else(|| self.missing.insert(ItemName { id: format!("item {index}"), line: 0 })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_read_for_who_has_gone() {
        let dir = tempfile::TempDir::new().unwrap();
        let store: Arc<dyn Store> = Arc::new(pigeon_store::SqliteStore::open(dir.path(), Default::default()).unwrap());
        let results = items(store.clone(), JobId::new(), Shape { places: 1, iterations: 1 }, Vote::Worst);
        assert_eq!(Arc::strong_count(&store), 4, "ours, the reader's, its names', and that of the page read ahead");
        drop(results);
        // Whatever there is to be polled is polled now, before this goes on.
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&store), 1);
    }
}
