//! Where the token comes from, what is kept, and what is said where none of it works.

use std::{fs, net::UdpSocket, process::Command};

use rustix::process::Signal;

use crate::support::{Host, binary};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_on_the_same_state_folder_is_turned_away() {
    let host = Host::start().await;
    let first = host.started("one");
    first.says("connected").await;
    let mut second = host.start_as(host.agent("one"));
    assert_eq!(second.ended().await.code(), Some(1), "{}", second.log());
    let words = format!("{} is in use by process {}", host.path("one").display(), first.child.id());
    let log = second.log();
    assert!(log.contains(&words) && log.contains("hint: give this agent another with --state-dir"), "{log}");

    // The first is none the worse for it.
    host.all_valid(host.job(&["valid"; 3]).await).await;
    assert_eq!(first.log().matches("connected").count(), 1, "{}", first.log());
    first.stop().await;
    // The folder is free again.
    let third = host.start_as(host.agent("one"));
    third.says("connecting to the hub").await;
    third.says("connected").await;
    third.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_its_state_folder_free() {
    let host = Host::start().await;
    let mut first = host.started("one");
    first.says("connected").await;
    first.signal(Signal::KILL);
    first.ended().await;
    let second = host.start_as(host.agent("one"));
    second.says("connected").await;
    second.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_state_folder_was_copied_is_told_so() {
    let host = Host::start().await;
    let mut first = host.started("one");
    first.says("connected").await;
    fs::create_dir_all(host.path("copy/identity")).unwrap();
    for file in fs::read_dir(host.path("one/identity")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), host.path("copy/identity").join(file.file_name())).unwrap();
    }
    let second = host.start_as(host.agent("copy"));
    assert_eq!(first.ended().await.code(), Some(77), "{}", first.log());
    let log = first.log();
    assert!(log.contains("another process has connected to the hub with this agent's identity"), "{log}");
    assert!(log.contains("hint: was its state folder copied") && !log.contains("aside"), "{log}");
    host.all_valid(host.job(&["valid"; 3]).await).await;
    second.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_hub_takes_is_refused_before_one_is_asked() {
    let host = Host::start().await;
    let mut command = Command::new(binary());
    command.args(["--hub", "127.0.0.1:1", "--name", &"n".repeat(500), "--state-dir"]).arg(host.path("one")).env_clear();
    let mut agent = host.start_as(command);
    assert_eq!(agent.ended().await.code(), Some(2), "{}", agent.log());
    let log = agent.log();
    assert!(log.contains("a name has 1 to 256 bytes") && !log.contains("token"), "{log}");
    // Nothing is read or made either.
    assert!(!host.path("one").exists());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_hub_is_tried_is_said_before_it_answers() {
    let host = Host::start().await;
    // It takes what comes, and never answers.
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let mut command = Command::new(binary());
    command.args(["--hub", &address, "--state-dir"]).arg(host.path("one")).arg("--token-file").arg(host.token(1));
    command.env_clear();
    let agent = host.start_as(command);
    let words = format!("enrolling with the hub hub={address}");
    agent.says(&words).await;
    assert!(!agent.log().contains("did not answer"), "{}", agent.log());
    host.stop().await;
}
