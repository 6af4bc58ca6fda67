//! The tokens that there are.

use pigeon_api::{ErrorKind, JoinTokenInfo, TokenInfo, page::AllTokens};

use crate::{
    connect::Host,
    exit::{Exit, Failed},
    paint::Paint,
    paper::Paper,
    screen::Screen,
    text::{Column, Grid, View, cell, number},
};

/// Name them.
pub(super) async fn run(host: &Host, paper: &mut Paper, screen: &Screen) -> Result<Exit, Failed> {
    let client = host.client();
    let join_tokens = client.join_tokens().await?;
    let tokens = match client.tokens().await {
        Err(error) if error.kind == ErrorKind::Forbidden => {
            screen.note("only an admin sees the tokens for the API");
            Vec::new()
        }
        tokens => tokens?,
    };
    paper.show(&AllTokens { tokens, join_tokens }, table)?;
    Ok(Exit::Valid)
}

fn table(all: &AllTokens, view: &View) -> String {
    let tables = [api(&all.tokens, view), join(&all.join_tokens, view)];
    let tables: Vec<_> = tables.into_iter().filter(|table| !table.is_empty()).collect();
    tables.join("\n")
}

fn api(tokens: &[TokenInfo], view: &View) -> String {
    if tokens.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new([
        Column::left("name").kept().cut(10),
        Column::left("role").kept(),
        Column::left("made"),
        Column::left("ends"),
    ]);
    for token in tokens {
        let ends = token.expires_ms.map_or_else(|| "when it is revoked".to_owned(), |ms| view.moment.relative(ms));
        grid.row([
            cell(&token.name).painted(Paint::strong),
            cell(token.role.as_str()),
            cell(view.moment.relative(token.created_ms)),
            cell(ends),
        ]);
    }
    grid.text(view.paint, view.width)
}

fn join(tokens: &[JoinTokenInfo], view: &View) -> String {
    if tokens.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new([
        Column::left("for agents").kept(),
        Column::right("uses left").kept(),
        Column::left("made"),
        Column::left("by").cut(10),
        Column::left("ends").kept(),
        Column::left("labels").cut(20),
    ]);
    for token in tokens {
        let left = format!("{} of {}", number(token.left.into()), number(token.uses.into()));
        grid.row([
            cell(&token.id).painted(Paint::strong),
            cell(left).painted_if(token.left == 0, Paint::warn),
            cell(view.moment.relative(token.created_ms)),
            cell(&token.author),
            cell(view.moment.relative(token.expires_ms)),
            cell(token.labels.join(" ")),
        ]);
    }
    grid.text(view.paint, view.width)
}

#[cfg(test)]
mod tests {
    use pigeon_api::Role;

    use super::*;
    use crate::text::Moment;

    #[test]
    fn tokens_are_listed_with_what_they_may_do() {
        let token = |name: &str, role, expires_ms| {
            let yours = role == Role::Admin;
            TokenInfo { name: name.to_owned(), role, created_ms: 0, expires_ms, yours }
        };
        let tokens = [token("admin", Role::Admin, None), token("ci", Role::Submitter, Some(7_200_000))];
        let view = View {
            paint: Paint::PLAIN,
            width: 80,
            unicode: false,
            moment: Moment::utc(3_600_000),
            flags: String::new(),
        };
        let join = |id: &str, left, labels: &[&str]| JoinTokenInfo {
            id: id.to_owned(),
            author: "admin".to_owned(),
            created_ms: 3_500_000,
            expires_ms: 7_200_000,
            uses: 3,
            left,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        let join_tokens = vec![join("join-1f3a9c04", 2, &["rack=7", "gpu"]), join("join-9c041f3a", 0, &[])];
        let all = AllTokens { tokens: tokens.to_vec(), join_tokens };
        insta::assert_snapshot!(table(&all, &view));
        assert_eq!(table(&AllTokens { tokens: Vec::new(), join_tokens: Vec::new() }, &view), "");
    }
}
