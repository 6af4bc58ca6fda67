//! One agent, with all that is known of it.

use pigeon_api::{AgentDetail, AgentMark, AgentState};

use super::{ShowArgs, list::load};
use crate::{
    exit::{Exit, Failed},
    paint::{Colours, Paint},
    paper::Paper,
    screen::Screen,
    text::{View, number, plural, printable},
    units::Size,
    visit::visit,
    words::{self, Tone},
};

/// Columns of a fact's name.
const NAME: usize = 13;

/// Show it.
pub(super) async fn run(args: ShowArgs, colours: Colours, screen: &Screen) -> Result<Exit, Failed> {
    let mut paper = Paper::open(args.output, colours)?;
    visit(&args.host, screen, async |host| {
        let agent = host.client().agent(&args.agent).await?;
        paper.show(&agent, page)?;
        Ok(Exit::Valid)
    })
    .await
}

/// An agent for people.
fn page(agent: &AgentDetail, view: &View) -> String {
    let status = &agent.status;
    let is_in = status.state.is_in();
    let mut text = view.paint.strong(&view.fitted(&printable(&status.name))) + "\n";
    let mut fact = |name: &str, tone: Tone, words: &str| {
        if !words.is_empty() {
            text.push_str(&view.fact(name, NAME, tone, words));
        }
    };
    let ago = |ms| view.moment.both(ms);
    fact("id", words::plain, &status.id);
    let tone = if status.state == AgentState::Ready { words::plain } else { Paint::warn };
    fact("state", tone, &format!("{}, since {}", words::agent(status.state), ago(status.since_ms)));
    fact("health", words::health_tone(status.health), words::health(status.health));
    for reason in &status.reasons {
        fact("", words::plain, reason);
    }
    fact("labels", words::plain, &status.labels.join(" "));
    if is_in {
        fact(
            "slots",
            words::plain,
            &format!("{}, {}", number(status.slots.into()), plural(status.leases.into(), "lease")),
        );
        let memory = format!("{} (computing+waiting), {} resident", load(status), Size(status.rss));
        fact("load", words::plain, &memory);
        let name = |plugin: &pigeon_api::CachedPlugin| plugin.name.clone().unwrap_or_else(|| plugin.digest.to_string());
        fact("plugins", words::plain, &agent.plugins.iter().map(name).collect::<Vec<_>>().join(", "));
        fact("models", words::plain, &agent.models.join(", "));
    }
    fact("runs", words::plain, &format!("{}, {}", number(status.runs), plural(status.failures, "failure")));
    fact(if is_in { "heard of" } else { "last seen" }, words::plain, &ago(status.heard_ms));
    fact("first seen", words::plain, &ago(agent.first_ms));
    fact("joined with", words::plain, agent.token.as_deref().unwrap_or_default());
    let ends = agent.certificate_ends_ms.map(|ms| format!("ends {}", ago(ms)));
    fact("certificate", words::plain, &ends.unwrap_or_default());
    fact("address", words::plain, &status.address);
    fact("version", words::plain, &status.version);
    fact("incarnation", words::plain, agent.incarnation.as_deref().unwrap_or_default());
    let mut mark = |name: &str, mark: &Option<AgentMark>| {
        if let Some(AgentMark { at_ms, by, why }) = mark {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            text.push_str(&view.fact(name, NAME, Paint::warn, &format!("by {by}, {}{why}", ago(*at_ms))));
        }
    };
    mark("drained", &agent.drained);
    mark("revoked", &agent.revoked);
    text
}

#[cfg(test)]
mod tests {
    use pigeon_api::{AgentStatus, CachedPlugin, Digest, Health};

    use super::*;
    use crate::samples::{EVIL, NOW, assert_harmless, view};

    fn agent(state: AgentState) -> AgentDetail {
        AgentDetail {
            status: AgentStatus {
                id: "01a1ffcc-cd90-7568-ab47-7bab643910cc".to_owned(),
                name: "north".to_owned(),
                state,
                since_ms: NOW - 60_000,
                address: "192.0.2.7:4781".to_owned(),
                version: "0.1.0".to_owned(),
                slots: 8,
                leases: 16,
                heard_ms: NOW - 900,
                runs: 123_456,
                failures: 1,
                health: Health::Good,
                reasons: vec!["takes nothing: drained by ann".to_owned()],
                labels: vec!["arch=x86_64".to_owned(), "rack=7".to_owned()],
                computing: 8,
                waiting: 3,
                rss: 90 << 20,
            },
            first_ms: NOW - 86_400_000,
            incarnation: Some("01a1ffcd-0000-7568-ab47-7bab643910cc".to_owned()),
            certificate_ends_ms: Some(NOW + 86_400_000 / 2),
            token: Some("join-1f3a9c04".to_owned()),
            plugins: vec![
                CachedPlugin { digest: Digest::from_bytes([1; 32]), name: Some("json@0.1.0".to_owned()) },
                CachedPlugin { digest: Digest::from_bytes([2; 32]), name: None },
            ],
            models: vec!["codellama:7b".to_owned()],
            drained: Some(AgentMark { at_ms: NOW - 30_000, by: "ann".to_owned(), why: String::new() }),
            revoked: None,
        }
    }

    #[test]
    fn an_agent_that_is_in() {
        insta::assert_snapshot!(page(&agent(AgentState::Drained), &view(80)));
    }

    #[test]
    fn an_agent_that_is_revoked() {
        let why = "the machine was stolen".to_owned();
        let revoked = Some(AgentMark { at_ms: NOW - 1000, by: "bob".to_owned(), why });
        let away = AgentDetail { incarnation: None, token: None, drained: None, revoked, ..agent(AgentState::Revoked) };
        insta::assert_snapshot!(page(&away, &view(80)));
    }

    #[test]
    fn nothing_that_an_agent_says_steers_the_terminal() {
        let mut agent = agent(AgentState::Ready);
        agent.status.name = EVIL.to_owned();
        agent.status.labels = vec![EVIL.to_owned()];
        agent.models = vec![EVIL.to_owned()];
        assert_harmless(&page(&agent, &view(80)), 80);
    }
}
