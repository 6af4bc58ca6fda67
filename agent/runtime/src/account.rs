//! The account of memory that all guests of a process have together: no run begins that it cannot hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a unit: a page of linear memory.
const UNIT: u64 = 64 << 10;

/// The account. Clones share it.
#[derive(Clone)]
pub(crate) struct Account {
    units: Arc<Semaphore>,
    total: u64,
}

/// Memory that is set aside for a lane.
#[derive(Default)]
pub(crate) struct Reserved(Option<OwnedSemaphorePermit>);

impl Account {
    pub(crate) fn new(bytes: u64) -> Self {
        let total = (bytes / UNIT).min(u64::from(u32::MAX)).min(Semaphore::MAX_PERMITS as u64);
        Self { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Whether it could ever hold this much.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        bytes.div_ceil(UNIT) <= self.total
    }

    /// Sets this much aside on top of what is, or brings it down to this much, if that can be done at once.
    pub(crate) fn adjust(&self, reserved: &mut Reserved, bytes: u64, may_shrink: bool) -> bool {
        let (wanted, held) = (units(bytes), reserved.held());
        if wanted > held {
            let Ok(more) = Arc::clone(&self.units).try_acquire_many_owned(wanted - held) else { return false };
            match &mut reserved.0 {
                Some(permit) => permit.merge(more),
                None => reserved.0 = Some(more),
            }
        } else if may_shrink && wanted < held / 2 {
            // Dropped: given back.
            drop(reserved.0.as_mut().and_then(|permit| permit.split((held - wanted) as usize)));
        }
        true
    }

    /// Waits until this much is there. Whoever waits must hold none.
    pub(crate) async fn reserve(&self, bytes: u64) -> Reserved {
        Reserved(Arc::clone(&self.units).acquire_many_owned(units(bytes)).await.ok())
    }
}

impl Reserved {
    fn held(&self) -> u32 {
        // What was acquired as a u32 and merged within a total that is one.
        self.0.as_ref().map_or(0, |permit| permit.num_permits() as u32)
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_reserved_is_given_back() {
        let account = Account::new(16 * UNIT);
        assert!(account.fits(16 * UNIT) && !account.fits(16 * UNIT + 1));
        let mut reserved = account.reserve(10 * UNIT).await;
        let mut other = Reserved::default();
        assert!(!account.adjust(&mut other, 7 * UNIT, true));
        assert!(account.adjust(&mut other, 6 * UNIT, true));
        assert!(account.adjust(&mut reserved, UNIT, false), "kept whole while an instance may be using it");
        assert!(!account.adjust(&mut other, 7 * UNIT, true));
        assert!(account.adjust(&mut reserved, UNIT, true));
        assert!(account.adjust(&mut other, 15 * UNIT, true));
        drop((reserved, other));
        assert_eq!(account.units.available_permits(), 16);
    }
}
