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
async fn whoever_has_the_state_directory_gets_another_admin_token_if_that_is_asked_for_and_needed() {
    let dir = TempDir::new().unwrap();
    let secret = || std::fs::read_to_string(dir.path().join("admin.token")).unwrap().trim().to_owned();
    let start = async |new_admin_token: bool| {
        let mut config = Config::server(dir.path().to_owned(), ([127, 0, 0, 1], 0).into());
        config.server.as_mut().unwrap().new_admin_token = new_admin_token;
        App::build(config, Arc::new(Credulous)).await.unwrap()
    };
    let app = server(dir.path()).await;
    let first = secret();
    assert_eq!(app.take_first_token().unwrap().secret, first);
    let admin = app.client_as("admin");
    admin.create_token(spec("anna", Role::Admin)).await.unwrap();
    let yours = |tokens: Vec<pigeon_api::TokenInfo>| -> Vec<String> {
        tokens.into_iter().filter(|token| token.yours).map(|token| token.name).collect()
    };
    assert_eq!(yours(admin.tokens().await.unwrap()), ["admin"]);
    drop(admin);
    stop(app).await;

    // It is good: nothing is made.
    let app = start(true).await;
    assert!(app.take_first_token().is_none());
    assert_eq!(secret(), first);
    app.client_as("anna").revoke_token("admin").await.unwrap();
    app.client_as("anna").create_token(spec("admin", Role::Viewer)).await.unwrap();
    stop(app).await;

    // It was revoked, and nobody asked for another.
    let app = start(false).await;
    assert!(app.take_first_token().is_none() && app.principal(&secret()).is_none());
    stop(app).await;

    let app = start(true).await;
    let made = app.take_first_token().unwrap();
    assert_eq!((made.info.name.as_str(), &made.secret), ("admin-2", &secret()));
    assert_ne!(made.secret, first);
    assert_eq!(app.principal(&made.secret).unwrap().role, Role::Admin);
    assert!(app.principal(&first).is_none());
    stop(app).await;
}

#[tokio::test]
async fn join_tokens_say_where_to_go() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let token = app.client.create_join_token(JoinSpec { uses: 3, ttl_ms: 60_000, labels: Vec::new() }).await.unwrap();
    assert_eq!(token.hub, app.hub_address().to_string());
    let parsed: JoinToken = token.secret.parse().unwrap();
    assert_eq!(parsed.ca(), pigeon_api::Digest::of(app.ca_certificate()));
    for (uses, ttl_ms) in [(0, 1), (1, 0), (u32::MAX, 1), (1, u64::MAX)] {
        let refused = app.client.create_join_token(JoinSpec { uses, ttl_ms, labels: Vec::new() }).await;
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
