//! Where the token comes from, what is kept, and what is said where none of it works.

use std::fs;

use crate::support::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file_is_needed_once() {
    let host = Host::start().await;
    let agent = host.started("one");
    let status = host.all_valid(host.job(&["valid"; 10]).await).await;
    assert_eq!(status.workers.iter().map(|worker| (&*worker.name, worker.total)).collect::<Vec<_>>(), [("one", 10)]);
    agent.stop().await;

    // It comes back as who it was: no token, and the file is gone.
    fs::remove_file(host.path("token")).unwrap();
    let id = || fs::read_to_string(host.path("one/identity/agent.id")).unwrap();
    let before = id();
    let agent = host.start_as(host.agent("one"));
    host.all_valid(host.job(&["valid"; 10]).await).await;
    assert_eq!(id(), before);
    assert!(!agent.log().contains("enrolled"), "{}", agent.log());
    agent.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_a_credential_of_systemd() {
    let host = Host::start().await;
    fs::create_dir(host.path("credentials")).unwrap();
    fs::rename(host.token(1), host.path("credentials/join-token")).unwrap();
    let mut command = host.agent("one");
    command.env("CREDENTIALS_DIRECTORY", host.path("credentials"));
    let agent = host.start_as(command);
    host.all_valid(host.job(&["valid"]).await).await;
    agent.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_buys_nothing_is_told() {
    let (host, other) = (Host::start().await, Host::start().await);
    let hub = host.agent("one").get_args().nth(1).unwrap().to_str().unwrap().to_owned();
    let refused = async |token| {
        let mut command = host.agent("one");
        command.arg("--token-file").arg(token);
        let mut agent = host.start_as(command);
        assert_eq!(agent.ended().await.code(), Some(1), "{}", agent.log());
        let log = agent.log();
        assert!(log.contains(&hub), "{log}");
        log
    };
    // Good for one use, and that is over.
    let token = host.token(1);
    let first = host.started("other");
    first.says("connected").await;
    fs::write(&token, fs::read_to_string(host.path("token")).unwrap()).unwrap();
    let log = refused(token).await;
    assert!(log.contains("refused to enrol") && log.contains("hint: have the control host issue a new"), "{log}");

    // Of another control host: this one is not believed.
    let log = refused(other.token(1)).await;
    assert!(log.contains("failed to enrol") && log.contains("hint: is --hub the control host that"), "{log}");
    first.stop().await;
    host.stop().await;
    other.stop().await;
}
