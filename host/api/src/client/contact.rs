//! Whether the control host answers, and who is told when it does not for a while.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// How long a control host may be away before that is told: a blink is nobody's concern.
const BLINK: Duration = Duration::from_secs(1);

/// What is told of a control host that was there, is away, and is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It does not answer. Told once.
    Lost {
        /// For how long it has not.
        away: Duration,
    },
    /// It answers again.
    Back {
        /// For how long it did not.
        away: Duration,
    },
}

type Listener = Box<dyn Fn(Contact) + Send + Sync>;

/// What is known of it.
#[derive(Default)]
pub(super) struct Presence {
    listener: OnceLock<Listener>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Whether it has ever answered.
    reached: bool,
    /// Since when it does not, and whether that was told.
    away: Option<(Instant, bool)>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    /// From now on, tell this one. Only the first is told.
    pub(super) fn listen(&self, listener: impl Fn(Contact) + Send + Sync + 'static) {
        // There is one listener or none.
        let _ = self.listener.set(Box::new(listener));
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it has ever answered.
    pub(super) fn was_reached(&self) -> bool {
        self.state(|state| state.reached)
    }

    /// Something has answered in its name, be it what stands before it.
    pub(super) fn reached(&self) {
        self.state(|state| state.reached = true);
    }

    /// It has answered.
    pub(super) fn answered(&self, now: Instant) {
        self.reached();
        let away = self.state(|state| state.away.take());
        if let Some((since, true)) = away {
            self.tell(Contact::Back { away: now.saturating_duration_since(since) });
        }
    }

    /// It has not, and is asked again after this wait.
    pub(super) fn missed(&self, now: Instant, wait: Duration) {
        let lost = self.state(|state| {
            let (since, told) = state.away.get_or_insert((now, false));
            let away = now.saturating_duration_since(*since);
            // One that never was there is no loss.
            if *told || !state.reached || away + wait < BLINK {
                return None;
            }
            *told = true;
            Some(away)
        });
        if let Some(away) = lost {
            self.tell(Contact::Lost { away });
        }
    }

    fn tell(&self, contact: Contact) {
        if let Some(listener) = self.listener.get() {
            listener(contact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_that_it_is_over() {
        let (presence, (told, heard)) = (Presence::default(), mpsc::channel());
        presence.listen(move |contact| told.send(contact).unwrap());
        let (start, ms) = (Instant::now(), Duration::from_millis);
        presence.missed(start, ms(1500));
        presence.answered(start);
        assert!(presence.was_reached() && heard.try_recv().is_err(), "it never was there before");
        for at in [0, 200] {
            presence.missed(start + ms(at), ms(200));
        }
        presence.answered(start + ms(400));
        assert!(heard.try_recv().is_err(), "a blink");
        for at in [1000, 1400, 2200, 3800] {
            presence.missed(start + ms(at), ms(400));
        }
        presence.answered(start + ms(5000));
        presence.answered(start + ms(5001));
        let told: Vec<Contact> = heard.try_iter().collect();
        assert_eq!(told, [Contact::Lost { away: ms(1200) }, Contact::Back { away: ms(4000) }]);
        // Nobody has to listen.
        let silent = Arc::new(Presence::default());
        silent.answered(start);
        silent.missed(start, ms(9000));
    }
}
