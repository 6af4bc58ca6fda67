//! Telling once: of the same offence by the same peer the first is told at once, and the rest as one sum a minute.
//!
//! Who floods from many addresses must not make this grow either: beyond so many peers the rest are told of as one.
//! Addresses may be anybody's, and made up: they take no room from agents, who have shown a certificate.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use pigeon_protocol::id::AgentId;

/// How long nothing is said of the same again.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Spells of addresses that are kept apart at once.
const MOST_ADDRESSES: usize = 256;

/// Spells of agents that are kept apart at once.
const MOST_AGENTS: usize = 1024;

/// Who did it, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Offender {
    /// An address, whatever the port; of IPv6 the network, for a single node may have all of its addresses.
    Address(IpAddr),
    /// An agent.
    Agent(AgentId),
    /// One of too many addresses.
    Others,
    /// One of too many agents.
    OtherAgents,
}

impl Offender {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::Address(match address.ip().to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "{address}/64"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Others => f.write_str("others"),
            Self::OtherAgents => f.write_str("other agents"),
        }
    }
}

/// What was told, and how often it was done again since.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    addresses: Spells,
    agents: Spells,
}

type Spells = HashMap<(Offender, &'static str), Spell>;

#[derive(Debug)]
struct Spell {
    told: Instant,
    more: u64,
}

impl Telling {
    /// Whether this is to be told; if not, it is counted.
    pub(crate) fn tells(&mut self, offender: Offender, offence: &'static str, now: Instant) -> bool {
        let (spells, most, others) = match offender {
            Offender::Address(_) | Offender::Others => (&mut self.addresses, MOST_ADDRESSES, Offender::Others),
            Offender::Agent(_) | Offender::OtherAgents => (&mut self.agents, MOST_AGENTS, Offender::OtherAgents),
        };
        let full = spells.len() >= most && !spells.contains_key(&(offender, offence));
        let offender = if full { others } else { offender };
        match spells.get_mut(&(offender, offence)) {
            Some(spell) => {
                spell.more += 1;
                false
            }
            None => {
                spells.insert((offender, offence), Spell { told: now, more: 0 });
                true
            }
        }
    }

    /// How often it was done again, of each whose time it is; of all where there is no later.
    pub(crate) fn sums(&mut self, now: Option<Instant>) -> Vec<(Offender, &'static str, u64)> {
        let mut sums = Vec::new();
        let mut sum_up = |&(offender, offence): &(Offender, &'static str), spell: &mut Spell| {
            if now.is_some_and(|now| now.saturating_duration_since(spell.told) < WINDOW) {
                return true;
            }
            if spell.more > 0 {
                sums.push((offender, offence, spell.more));
            }
            // Who goes on is told of once a window; who has stopped is forgotten.
            let goes_on = spell.more > 0;
            *spell = Spell { told: now.unwrap_or(spell.told), more: 0 };
            goes_on
        };
        self.addresses.retain(&mut sum_up);
        self.agents.retain(&mut sum_up);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Offender {
        Offender::at(SocketAddr::from(([10, 0, 0, last], 1000)))
    }

    #[test]
    fn the_first_is_told_and_then_a_sum_a_window_until_it_stops() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        assert!(telling.tells(address(1), "slow", now));
        assert!((0..1234).all(|_| !telling.tells(address(1), "slow", now + WINDOW / 2)));
        assert!(telling.tells(address(1), "token", now), "another offence");
        assert!(telling.tells(address(2), "slow", now), "another peer");
        assert!(telling.sums(Some(now + WINDOW / 2)).is_empty(), "not yet");
        assert_eq!(telling.sums(Some(now + WINDOW)), [(address(1), "slow", 1234)]);
        // It goes on: no line but the sum.
        assert!(!telling.tells(address(1), "slow", now + WINDOW));
        assert_eq!(telling.sums(Some(now + WINDOW * 2)), [(address(1), "slow", 1)]);
        // It has stopped: nothing is said, and nothing kept.
        assert!(telling.sums(Some(now + WINDOW * 3)).is_empty());
        assert!(telling.addresses.is_empty());
        assert!(telling.tells(address(1), "slow", now + WINDOW * 3), "the first again");
    }

    #[test]
    fn at_the_end_everything_is_summed_up() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        (0..3).for_each(|_| _ = telling.tells(address(1), "slow", now));
        assert_eq!(telling.sums(None), [(address(1), "slow", 2)]);
    }

    #[test]
    fn ports_and_the_addresses_of_one_network_are_one_peer() {
        let at = |address: &str| Offender::at(address.parse().unwrap());
        assert_eq!(at("10.0.0.1:1"), at("10.0.0.1:2"));
        assert_eq!(at("[::ffff:10.0.0.1]:1"), at("10.0.0.1:1"));
        assert_eq!(at("[2001:db8:1:2:3::4]:1"), at("[2001:db8:1:2:5:6:7:8]:1"));
        assert_ne!(at("[2001:db8:1:2::]:1"), at("[2001:db8:1:3::]:1"));
        assert_eq!(at("[2001:db8:1:2:3::4]:1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_flood_from_everywhere_is_one_of_others_and_hides_no_agent() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        let from = |at: u32| Offender::at(SocketAddr::from((at.to_be_bytes(), 1)));
        let told = (0..100_000).filter(|at| telling.tells(from(*at), "slow", now)).count();
        assert_eq!((told, telling.addresses.len()), (MOST_ADDRESSES + 1, MOST_ADDRESSES + 1));
        let agent = Offender::Agent(AgentId::new());
        assert!(telling.tells(agent, "flood", now) && !telling.tells(agent, "flood", now));
        let sums = telling.sums(Some(now + WINDOW));
        assert_eq!(sums, [(Offender::Others, "slow", 100_000 - MOST_ADDRESSES as u64 - 1), (agent, "flood", 1)]);
        assert_eq!((telling.addresses.len(), telling.agents.len()), (1, 1));
    }

    #[test]
    fn agents_without_end_are_others_too() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        let told = (0..10_000).filter(|_| telling.tells(Offender::Agent(AgentId::new()), "slow", now)).count();
        assert_eq!((told, telling.agents.len()), (MOST_AGENTS + 1, MOST_AGENTS + 1));
        let sums = telling.sums(Some(now + WINDOW));
        assert_eq!(sums, [(Offender::OtherAgents, "slow", 10_000 - MOST_AGENTS as u64 - 1)]);
    }
}
