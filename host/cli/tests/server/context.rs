//! `pigeon context`: what is kept of servers, and how they are known again. Tokens for and from them.

use crate::support::{Place, ended};

#[test]
fn a_server_of_this_machine_is_kept_used_and_forgotten() {
    let place = Place::new();
    let none = place.run(&["context", "add", "here", "--state-dir", "host"]).refused(2);
    assert!(none.contains("no server runs in"), "{none}");

    let serving = place.serve(&[]);
    let token = place.read("host/admin.token");
    let added = place.run(&["context", "add", "here", "--state-dir", "host"]).expect(0);
    assert!(added.stderr.contains("answers: pigeon") && added.stderr.contains("pigeon context use here"), "{added:?}");
    assert_eq!((place.mode("config/pigeon"), place.mode("config/pigeon/contexts.toml")), (0o700, 0o600));
    place.run(&["context", "show"]).refused(2);
    let taken = place.run(&["context", "add", "here", "--state-dir", "host"]).refused(2);
    assert!(taken.contains("--replace"), "{taken}");
    place.run(&["context", "add", "here", "--state-dir", "host", "--replace"]).expect(0);

    place.run(&["context", "use", "here"]).expect(0);
    let shown = &place.json(&["context", "list"])["contexts"][0];
    assert_eq!(shown["name"], "here");
    assert_eq!((shown["current"].as_bool(), shown["server"].as_str()), (Some(true), Some(serving.api().as_str())));
    for shown in [place.run(&["context", "list"]), place.run(&["context", "show"])] {
        let shown = shown.expect(0);
        assert!(shown.stdout.contains("here") && !format!("{shown:?}").contains(token.trim()), "{shown:?}");
    }

    let close = place.run(&["context", "use", "her"]).refused(2);
    assert!(close.contains("did you mean `here`"), "{close}");
    place.run(&["context", "remove", "here"]).expect(0);
    assert_eq!(place.json(&["context", "list"]), serde_json::json!({"contexts": []}));
    // Commands work within their own process again.
    place.run(&["plugins", "list", "--state-dir", "own"]).expect(0);
    serving.stop();
}

#[test]
fn a_server_is_known_by_its_ca_and_another_is_refused() {
    let place = Place::new();
    let serving = place.serve(&["--api-tls", "on"]);
    let api = serving.api();
    assert!(api.starts_with("https://"), "{api}");
    let log = serving.log();
    let fingerprint = log.lines().find_map(|line| line.trim().strip_prefix("CA")).unwrap().trim().to_owned();
    let add = |name: &str, more: &[&str]| {
        let args = ["context", "add", name, "--server", &api, "--token-file", "host/admin.token"];
        place.run(&args.iter().chain(more).copied().collect::<Vec<_>>())
    };
    add("by-fingerprint", &["--fingerprint", &fingerprint]).expect(0);
    add("by-file", &["--ca-file", "host/ca/ca.crt"]).expect(0);
    place.run(&["context", "add", "by-state", "--state-dir", "host"]).expect(0);
    for name in ["by-fingerprint", "by-file", "by-state"] {
        place.run(&["agents", "list", "--context", name]).expect(0);
        assert_eq!(place.json(&["context", "show", name])["trust"], fingerprint.as_str());
    }

    let other = format!("sha256:{}", "7".repeat(64));
    let refused = add("other", &["--fingerprint", &other]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains(&api), "{refused:?}");
    let unknown = add("unknown", &[]);
    assert_ne!(unknown.code, Some(0), "{unknown:?}");
    assert_eq!(
        place.json(&["context", "list"])["contexts"].as_array().unwrap().len(),
        3,
        "what was refused is not kept"
    );
    serving.stop();
}

#[test]
fn a_server_that_is_not_there_is_not_kept_unless_asked() {
    let place = Place::new();
    place.write("token", "pgt1.something\n");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{free}");
    let add = ["context", "add", "away", "--server", &server, "--token-file", "token"];
    let refused = place.run(&add).refused(4);
    assert!(refused.contains(&free.to_string()), "{refused}");
    let unchecked: Vec<&str> = add.into_iter().chain(["--no-check", "--use"]).collect();
    place.run(&unchecked).expect(0);
    // It is used, and told of.
    let refused = place.run(&["jobs", "list"]).refused(4);
    assert!(refused.contains(&free.to_string()), "{refused}");
    let mut elsewhere = place.command(&["jobs", "list"]);
    let refused = ended(elsewhere.env("PIGEON_CONTEXT", "nowhere").output().unwrap()).refused(2);
    assert!(refused.contains("there is no context \"nowhere\""), "{refused}");
    place.run(&["plugins", "list", "--state-dir", "own"]).expect(0);
    place.run(&["context", "use", "--none"]).expect(0);
}

#[test]
fn tokens_are_made_into_files_do_what_their_role_may_and_are_revoked() {
    let place = Place::new();
    let serving = place.serve(&[]);
    place.run(&["context", "add", "admin", "--state-dir", "host", "--use"]).expect(0);
    let made = place.run(&["token", "create", "ci", "--role", "viewer", "--ttl", "1h", "--out", "ci.token"]).expect(0);
    assert_eq!(place.mode("ci.token"), 0o600);
    let secret = place.read("ci.token");
    assert!(!format!("{made:?}").contains(secret.trim()), "{made:?}");
    let again = place.run(&["token", "create", "ci", "--role", "viewer", "--out", "ci2.token"]).expect(2);
    assert!(again.stderr.contains("ci") && !place.path("ci2.token").exists(), "{again:?}");
    place.run(&["token", "create", "cd", "--role", "viewer", "--out", "ci.token"]).refused(2);
    place.run(&["token", "create", "cd", "--role", "king", "--out", "cd.token"]).expect(2);

    let names = |tokens: serde_json::Value| -> Vec<String> {
        tokens["tokens"].as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(place.json(&["token", "list"])).contains(&"ci".to_owned()));

    place.run(&["context", "add", "ci", "--server", &serving.api(), "--token-file", "ci.token"]).expect(0);
    place.run(&["jobs", "list", "--context", "ci"]).expect(0);
    let listed = place.run(&["token", "list", "--context", "ci"]).expect(0);
    assert!(listed.stderr.contains("only an admin sees") && listed.stdout.is_empty(), "{listed:?}");
    place.run(&["token", "create", "cx", "--role", "viewer", "--context", "ci"]).expect(2);
    place.run(&["token", "create", "--context", "ci"]).expect(2);
    let unclear = place.run(&["token", "create", "cx"]).expect(2);
    assert!(unclear.stderr.contains("--role"), "{unclear:?}");

    // That in use is revoked only if that is meant.
    let asked = place.run(&["token", "revoke", "ci", "admin"]).refused(2);
    assert!(asked.contains("token admin, the very one in use") && asked.contains("--yes"), "{asked}");
    place.run(&["jobs", "list", "--context", "ci"]).expect(0);
    let told = place.json(&["token", "create", "cj", "--role", "viewer", "--out", "cj.token"]);
    assert_eq!((told["name"].as_str(), told["secret"].as_str()), (Some("cj"), None));
    let told = place.json(&["token", "create", "ck", "--role", "viewer", "--out", "-"]);
    assert!(told["secret"].as_str().is_some_and(|secret| secret.len() > 20), "{told}");
    let told = place.json(&["token", "join", "--out", "join.token"]);
    assert!(told["hub"].is_string() && told["secret"].is_null(), "{told}");

    let revoked = place.json(&["token", "revoke", "ci", "cj"]);
    assert_eq!((&revoked["deeds"][0]["done"], &revoked["deeds"][1]["of"]), (&"revoked".into(), &"cj".into()));
    place.run(&["token", "revoke", "cj"]).expect(2);
    let revoked = place.run(&["jobs", "list", "--context", "ci"]).refused(2);
    assert!(revoked.contains("error:"), "{revoked}");
    assert!(!names(place.json(&["token", "list"])).contains(&"ci".to_owned()));

    // Whoever has the state folder is not locked out.
    place.run(&["token", "create", "cd", "--role", "viewer", "--out", "cd.token"]).expect(0);
    // The one in use goes last, however they are named.
    let revoked = place.json(&["token", "revoke", "admin", "cd", "--yes"]);
    assert_eq!((&revoked["deeds"][0]["of"], &revoked["deeds"][1]["done"]), (&"admin".into(), &"revoked".into()));
    let revoked = place.run(&["token", "list"]).refused(2);
    assert!(revoked.contains("--new-admin-token") && revoked.contains("pigeon up"), "{revoked}");
    serving.stop();
    let serving = place.serve(&["--new-admin-token"]);
    serving.says("another token that may do everything was made");
    place.run(&["context", "add", "admin", "--state-dir", "host", "--replace"]).expect(0);
    place.run(&["token", "list"]).expect(0);
    serving.stop();
}
