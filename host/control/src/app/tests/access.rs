//! Tokens.

use pigeon_api::{JoinSpec, Role, TokenSpec};

use super::*;

fn spec(name: &str, role: Role) -> TokenSpec {
    TokenSpec { name: name.to_owned(), role, ttl_ms: None }
}

#[tokio::test]
async fn a_token_is_good_until_it_is_revoked_or_ends() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let admin = app.client_as("admin");
    let token = admin.create_token(spec("anna", Role::Submitter)).await.unwrap();
    let principal = app.principal(&token.secret).unwrap();
    assert_eq!((&*principal.name, principal.role), ("anna", Role::Submitter));
    assert!(app.principal(&token.secret[1..]).is_none() && app.principal("").is_none());
    assert_eq!(kind(admin.create_token(spec("anna", Role::Admin)).await), ErrorKind::Conflict);
    for name in ["", "pigeon", "schedule x", "a\nb", &"a".repeat(65)] {
        assert_eq!(kind(admin.create_token(spec(name, Role::Viewer)).await), ErrorKind::BadRequest, "{name:?}");
    }
    let short = TokenSpec { ttl_ms: Some(1), ..spec("short", Role::Viewer) };
    let short = admin.create_token(short).await.unwrap();
    while app.principal(&short.secret).is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let names: Vec<_> = admin.tokens().await.unwrap().into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["admin", "anna", "short"]);
    admin.revoke_token("anna").await.unwrap();
    assert!(app.principal(&token.secret).is_none());
    assert_eq!(kind(admin.revoke_token("anna").await), ErrorKind::NotFound);
    drop(admin);
    stop(app).await;
    let app = server(dir.path()).await;
    assert!(app.principal(&token.secret).is_none());
    for file in walk(dir.path()).into_iter().filter(|path| !path.ends_with("admin.token")) {
        let kept = std::fs::read(&file).unwrap();
        let secret = token.secret.as_bytes();
        assert!(!kept.windows(secret.len()).any(|part| part == secret), "{} holds a secret", file.display());
    }
    stop(app).await;
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn join_tokens_say_where_to_go() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let token = app.client.create_join_token(JoinSpec { uses: 3, ttl_ms: 60_000 }).await.unwrap();
    assert_eq!(token.hub, app.hub_address().to_string());
    let parsed: JoinToken = token.secret.parse().unwrap();
    assert_eq!(parsed.ca(), pigeon_api::Digest::of(app.ca_certificate()));
    for (uses, ttl_ms) in [(0, 1), (1, 0), (u32::MAX, 1), (1, u64::MAX)] {
        let refused = app.client.create_join_token(JoinSpec { uses, ttl_ms }).await;
        assert_eq!(kind(refused), ErrorKind::BadRequest);
    }
    stop(app).await;
}

#[tokio::test]
async fn an_embedded_control_host_has_no_tokens() {
    let dir = TempDir::new().unwrap();
    let app = app(dir.path()).await;
    assert_eq!(kind(app.client.tokens().await), ErrorKind::Unsupported);
    assert_eq!(kind(app.client.schedules().await), ErrorKind::Unsupported);
    assert!(app.principal("").is_none());
    stop(app).await;
}
