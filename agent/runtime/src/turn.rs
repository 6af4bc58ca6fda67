//! A run's turn on a slot, and how its future is driven.
//!
//! ```text
//!              a tick: yields, keeps its slot
//!                +-----------+
//!                v           |
//!   take slot --> computing -+--> done
//!      ^             |
//!      |             | pending for another reason: a host call
//!      |             v
//!      +----- waiting, without a slot -----> out of wall-clock time
//!        woken
//! ```

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Poll, ready},
};

use tokio::{sync::OwnedSemaphorePermit, time::Sleep};

use crate::{
    Slots, contract,
    meter::{Meter, Stop},
    slots::Waiting,
};

/// A lane's hold on its agent's slots.
pub(crate) struct Turn {
    slots: Slots,
    permit: Option<OwnedSemaphorePermit>,
}

/// A run that waits in a host call.
struct Wait {
    _counted: Waiting,
    deadline: Pin<Box<Sleep>>,
    /// The slot that it takes to go on, once it was woken.
    slot: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
}

impl Turn {
    pub(crate) fn new(slots: Slots) -> Self {
        Self { slots, permit: None }
    }

    /// Waits for a slot, unless it is held.
    pub(crate) async fn take(&mut self) {
        if self.permit.is_none() {
            self.permit = self.slots.take().await;
        }
    }

    /// Gives the slot back.
    pub(crate) fn give_back(&mut self) {
        self.permit = None;
    }

    /// Drives a run that holds its slot. Charges its meter, gives the slot back while it waits in host calls, and ends
    /// it when its wall-clock time is over.
    ///
    /// `allowance` is what the answer may cost the host, in bytes.
    pub(crate) async fn drive<F: Future>(
        &mut self,
        meter: &Meter,
        allowance: usize,
        future: F,
    ) -> Result<F::Output, Stop> {
        let mut future = pin!(future);
        let mut wait: Option<Wait> = None;
        poll_fn(|cx| {
            if let Some(waiting) = &mut wait {
                if waiting.deadline.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(Stop::Wall));
                }
                let slots = &self.slots;
                let slot = waiting.slot.get_or_insert_with(|| {
                    let slots = slots.clone();
                    Box::pin(async move { slots.take().await })
                });
                self.permit = ready!(slot.as_mut().poll(cx));
                wait = None;
            }
            contract::allow(allowance);
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                // Woken already, and the slot is kept.
                Poll::Pending if meter.suspend() => Poll::Pending,
                Poll::Pending => {
                    self.permit = None;
                    let mut deadline = Box::pin(tokio::time::sleep(meter.wall_left()));
                    if deadline.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Err(Stop::Wall));
                    }
                    wait = Some(Wait { _counted: self.slots.wait(), deadline, slot: None });
                    Poll::Pending
                }
            }
        })
        .await
    }
}
