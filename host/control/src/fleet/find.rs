//! Which agent is meant: people name them by what they see.

use pigeon_api::{ApiError, ErrorKind, Result};
use pigeon_protocol::id::AgentId;

use crate::registry::did_you_mean;

/// Letters of an id that tell it from others at least: what lists show of it.
const LEAST: usize = 4;

/// Agents that are named where several may be meant.
const MOST_NAMED: usize = 5;

/// An agent that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: AgentId,
    pub(crate) name: String,
    /// Whether it is in. Of several of one name, that is the one.
    pub(crate) is_in: bool,
}

/// The agent of this name, or whose id is this, or begins or ends so.
///
/// # Errors
/// [`ErrorKind::NotFound`] with names that are close; [`ErrorKind::Conflict`] if it may be several.
pub(crate) fn find(reference: &str, all: &[Candidate]) -> Result<AgentId> {
    if let Ok(id) = reference.parse::<AgentId>()
        && all.iter().any(|agent| agent.id == id)
    {
        return Ok(id);
    }
    let named: Vec<_> = all.iter().filter(|agent| agent.name == reference).collect();
    let meant = match named.is_empty() {
        false => named,
        true => all.iter().filter(|agent| is_part(reference, &agent.id.to_string())).collect(),
    };
    let present: Vec<_> = meant.iter().filter(|agent| agent.is_in).collect();
    match (&meant[..], &present[..]) {
        ([], _) => Err(none(reference, all)),
        ([one], _) => Ok(one.id),
        (_, [one]) => Ok(one.id),
        _ => Err(several(reference, &meant)),
    }
}

fn is_part(reference: &str, id: &str) -> bool {
    let reference = reference.to_ascii_lowercase();
    reference.len() >= LEAST && (id.starts_with(&reference) || id.ends_with(&reference))
}

fn none(reference: &str, all: &[Candidate]) -> ApiError {
    let names = all.iter().map(|agent| agent.name.as_str()).collect();
    let all = "`pigeon agents list --all` names all";
    let hint = did_you_mean(reference, &names).map_or_else(|| all.to_owned(), |meant| format!("{meant} {all}"));
    ApiError::new(ErrorKind::NotFound, format!("there is no agent {reference:?}")).hint(hint)
}

fn several(reference: &str, meant: &[&Candidate]) -> ApiError {
    let mut told: Vec<_> =
        meant.iter().take(MOST_NAMED).map(|agent| format!("{} ({})", agent.id, agent.name)).collect();
    if meant.len() > MOST_NAMED {
        told.push("...".to_owned());
    }
    let message = format!("{reference:?} may be any of {} agents", meant.len());
    ApiError::new(ErrorKind::Conflict, message).hint(format!("say which by its id: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: u128, name: &str, is_in: bool) -> Candidate {
        Candidate { id: AgentId::from_bytes(id.to_be_bytes()), name: name.to_owned(), is_in }
    }

    #[test]
    fn an_agent_is_found_by_its_name_and_by_either_end_of_its_id() {
        let all = [
            agent(0x01a1_ffcc << 96 | 0x0000_2222, "north", true),
            agent(0x01a1_ffcd << 96 | 0x0000_3333, "lake", true),
        ];
        let found =
            |reference: &str| find(reference, &all).map(|id| all.iter().position(|agent| agent.id == id).unwrap());
        let id = all[1].id.to_string();
        for reference in ["lake", &id, &id[..8], "01A1FFCD", &id[id.len() - 8..], "3333"] {
            assert_eq!(found(reference).unwrap(), 1, "{reference}");
        }
        let unknown = found("lakes").unwrap_err();
        assert_eq!((unknown.kind, unknown.message.as_str()), (ErrorKind::NotFound, "there is no agent \"lakes\""));
        assert_eq!(unknown.hint.unwrap(), "did you mean `lake`? `pigeon agents list --all` names all");
        assert_eq!(found("333").unwrap_err().kind, ErrorKind::NotFound, "too short to tell anything");
        let several = found("01a1ffc").unwrap_err();
        assert_eq!(
            (several.kind, several.message.as_str()),
            (ErrorKind::Conflict, "\"01a1ffc\" may be any of 2 agents")
        );
        assert!(several.hint.unwrap().contains(&format!("{id} (lake)")));
    }

    #[test]
    fn of_several_of_one_name_the_one_that_is_in_is_meant() {
        let mut all = vec![agent(1, "north", false), agent(2, "north", true)];
        assert_eq!(find("north", &all).unwrap(), all[1].id);
        all[1].is_in = false;
        assert_eq!(find("north", &all).unwrap_err().kind, ErrorKind::Conflict);
        all[0].is_in = true;
        all[1].is_in = true;
        assert_eq!(find("north", &all).unwrap_err().kind, ErrorKind::Conflict);
    }
}
