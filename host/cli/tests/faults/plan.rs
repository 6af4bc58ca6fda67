//! The schedule of faults: which, to whom, when and for how long. A seed draws all of it.
//!
//! The moment is one of progress, not of time: when so many runs have landed. So a slower machine has the same faults at
//! about the same places of its work. What makes no progress is not waited for beyond some patience.

use std::{fmt, time::Duration};

use crate::draws::Draws;

/// Time between two signs of life of an agent.
pub(crate) const BEAT: Duration = Duration::from_millis(500);

/// Agents in the world.
pub(crate) const AGENTS: usize = 4;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL of an agent; it starts again with its state folder.
    KillAgent(usize),
    /// SIGSTOP of an agent, and SIGCONT.
    StopAgent(usize),
    /// SIGTERM of an agent, which ends what it has begun and leaves; it starts again.
    DrainAgent(usize),
    /// Nothing comes through an agent's link.
    CutLink(usize),
    /// An agent's link is slow, and loses, doubles and mixes up what it carries.
    SlowLink(usize, Weather),
    /// SIGKILL of the server; it starts again with its state folder.
    KillServer,
    /// SIGKILL of the server, and the last frame of its log of writes is damaged.
    DamageLog(Damage),
    /// SIGTERM of the server, which goes down in order; it starts again.
    RestartServer,
    /// SIGSTOP of the server, and SIGCONT.
    StopServer,
    /// The disk of the server's state folder is full, but for so many bytes.
    FillDisk(u64),
}

/// What a link does to what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) delay: Duration,
    /// Each is late by up to so much more, so that later ones overtake it.
    pub(crate) jitter: Duration,
    /// Of a hundred, so many are lost.
    pub(crate) loss: u64,
    /// Of a hundred, so many come twice.
    pub(crate) twice: u64,
}

/// What the last frame of SQLite's write-ahead log looks like after a crash. It is behind the last commit: that one was
/// acknowledged when it was on disk, and a disk that loses such a thing has broken its word, for which nobody can stand in.
/// (What is left then is consistent, and lacks the last commits alone: tests of the store hold that.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A frame that was begun.
    Torn,
    /// A frame with a wrong bit in its page.
    Flipped,
    /// A frame that says it is a commit, with a page of zeros.
    Zeroed,
}

/// A fault at its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// From 1.
    pub(crate) number: usize,
    /// It strikes when so many runs have landed.
    pub(crate) after: u64,
    pub(crate) fault: Fault,
    /// How long until all is well again; of what is killed, until it starts again.
    pub(crate) lasts: Duration,
}

/// Sorts of fault. A deck holds each as often as it is to come, in a drawn order.
#[derive(Clone, Copy)]
enum Card {
    KillAgent,
    StopAgentShortly,
    StopAgentLong,
    DrainAgent,
    CutLinkShortly,
    CutLinkLong,
    SlowLink,
    KillServer,
    DamageLog,
    RestartServer,
    StopServerShortly,
    StopServerLong,
    FillDisk,
}

const DECK: [Card; 18] = [
    Card::KillAgent,
    Card::KillAgent,
    Card::KillAgent,
    Card::StopAgentShortly,
    Card::StopAgentLong,
    Card::StopAgentLong,
    Card::DrainAgent,
    Card::CutLinkShortly,
    Card::CutLinkLong,
    Card::SlowLink,
    Card::SlowLink,
    Card::KillServer,
    Card::KillServer,
    Card::DamageLog,
    Card::RestartServer,
    Card::StopServerShortly,
    Card::StopServerLong,
    Card::FillDisk,
];

/// Every fault comes at least once in so many.
pub(crate) const EVERY: usize = DECK.len();

/// So many faults over so many runs, spread evenly, each a little off its place.
pub(crate) fn plan(seed: u64, runs: u64, faults: usize) -> Vec<Step> {
    let mut draws = Draws::new(seed).fork(1);
    let mut deck = Vec::new();
    let share = runs / (faults as u64 + 1);
    let step = |number: usize| {
        if deck.is_empty() {
            deck.extend(DECK);
            draws.shuffle(&mut deck);
        }
        let card = deck.pop().unwrap_or(Card::KillAgent);
        let after = number as u64 * share + draws.below(share);
        let (fault, ms) = drawn(card, &mut draws);
        Step { number, after, fault, lasts: Duration::from_millis(ms) }
    };
    (1..=faults).map(step).collect()
}

/// What the card says in particular, and for how many milliseconds.
fn drawn(card: Card, draws: &mut Draws) -> (Fault, u64) {
    let beat = u64::try_from(BEAT.as_millis()).unwrap_or_default();
    let agent = draws.index(AGENTS);
    // Shorter and longer than what it takes to be given up.
    let (shortly, long) = (draws.between(50, 2 * beat), draws.between(4 * beat, 8 * beat));
    match card {
        Card::KillAgent => (Fault::KillAgent(agent), draws.pick(&[0, shortly, long])),
        Card::StopAgentShortly => (Fault::StopAgent(agent), shortly),
        Card::StopAgentLong => (Fault::StopAgent(agent), long),
        Card::DrainAgent => (Fault::DrainAgent(agent), shortly),
        Card::CutLinkShortly => (Fault::CutLink(agent), shortly),
        Card::CutLinkLong => (Fault::CutLink(agent), long),
        Card::SlowLink => {
            let weather = Weather {
                delay: Duration::from_millis(draws.between(1, 100)),
                jitter: Duration::from_millis(draws.between(0, 60)),
                loss: draws.between(0, 12),
                twice: draws.between(0, 5),
            };
            (Fault::SlowLink(agent, weather), long)
        }
        Card::KillServer => (Fault::KillServer, draws.pick(&[0, shortly, long])),
        Card::DamageLog => {
            (Fault::DamageLog(draws.pick(&[Damage::Torn, Damage::Flipped, Damage::Zeroed])), draws.pick(&[0, shortly]))
        }
        Card::RestartServer => (Fault::RestartServer, shortly),
        Card::StopServerShortly => (Fault::StopServer, shortly),
        Card::StopServerLong => (Fault::StopServer, long),
        Card::FillDisk => (Fault::FillDisk(draws.pick(&[0, 4 << 10, 64 << 10, 512 << 10])), draws.between(500, 2500)),
    }
}

impl Fault {
    /// In a word or two, whoever it is done to.
    pub(crate) fn sort(self) -> &'static str {
        match self {
            Self::KillAgent(_) => "SIGKILL of an agent",
            Self::StopAgent(_) => "SIGSTOP of an agent",
            Self::DrainAgent(_) => "SIGTERM of an agent",
            Self::CutLink(_) => "a cut link",
            Self::SlowLink(..) => "a slow link",
            Self::KillServer => "SIGKILL of the server",
            Self::DamageLog(_) => "a damaged log of writes",
            Self::RestartServer => "SIGTERM of the server",
            Self::StopServer => "SIGSTOP of the server",
            Self::FillDisk(_) => "a full disk",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::KillAgent(agent) => write!(f, "SIGKILL of agent {agent}"),
            Self::StopAgent(agent) => write!(f, "SIGSTOP of agent {agent}"),
            Self::DrainAgent(agent) => write!(f, "SIGTERM of agent {agent}"),
            Self::CutLink(agent) => write!(f, "the link of agent {agent} is cut"),
            Self::SlowLink(agent, Weather { delay, jitter, loss, twice }) => write!(
                f,
                "the link of agent {agent} is slow: {delay:?} and up to {jitter:?} more, {loss} % lost, {twice} % twice"
            ),
            Self::KillServer => f.write_str("SIGKILL of the server"),
            Self::DamageLog(Damage::Torn) => {
                f.write_str("SIGKILL of the server, and the last frame of its log is torn")
            }
            Self::DamageLog(Damage::Flipped) => {
                f.write_str("SIGKILL of the server, and the last frame of its log has a wrong bit")
            }
            Self::DamageLog(Damage::Zeroed) => {
                f.write_str("SIGKILL of the server, and the last frame of its log is zeros")
            }
            Self::RestartServer => f.write_str("SIGTERM of the server"),
            Self::StopServer => f.write_str("SIGSTOP of the server"),
            Self::FillDisk(left) => write!(f, "the server's disk is full but for {left} bytes"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, after, fault, lasts } = self;
        write!(f, "#{number:<3} after {after:>8} runs, for {:>4} ms: {fault}", lasts.as_millis())
    }
}

#[test]
fn a_seed_draws_the_same_plan_and_each_sort_of_fault_is_in_it() {
    let drawn = plan(7, 10_000, EVERY);
    assert_eq!(drawn, plan(7, 10_000, EVERY));
    assert_ne!(drawn, plan(8, 10_000, EVERY));
    assert!(drawn.is_sorted_by_key(|step| step.after) && drawn.iter().all(|step| step.after < 10_000));
    let sorts: std::collections::BTreeSet<_> = drawn.iter().map(|step| step.fault.sort()).collect();
    assert_eq!(sorts.len(), 10, "{sorts:?}");
}
