//! A new version of the program is put in the old one's place while it runs.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::support::{Host, binary};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_program_is_replaced_goes_on_as_it_began() {
    let host = Host::start().await;
    let program = host.path("pigeon-agent");
    if fs::hard_link(binary(), &program).is_err() {
        // On another disk.
        fs::copy(binary(), &program).unwrap();
    }
    let usual = host.agent("one");
    let mut command = Command::new(&program);
    command.args(usual.get_args()).arg("--token-file").arg(host.token(1)).env_clear();
    let agent = host.start_as(command);
    agent.says("connected").await;
    let new = host.path("new");
    fs::write(&new, "#!/bin/sh\nexit 9\n").unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &program).unwrap();

    // Nothing is compiled yet, and the compiler is the program itself.
    host.all_valid(host.job(&["valid"; 3]).await).await;
    agent.stop().await;
    host.stop().await;
}
