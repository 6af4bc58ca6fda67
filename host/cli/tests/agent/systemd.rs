//! What systemd hears: ready, alive, stopping.

use tokio::{net::UnixDatagram, time::timeout};

use crate::support::{Host, LONG};

async fn heard(socket: &UnixDatagram) -> String {
    let mut words = [0; 256];
    let length = timeout(LONG, socket.recv(&mut words)).await.unwrap().unwrap();
    String::from_utf8_lossy(&words[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let host = Host::start().await;
    let socket = UnixDatagram::bind(host.path("notify")).unwrap();
    let mut command = host.agent("one");
    command.arg("--token-file").arg(host.token(1));
    command.env("NOTIFY_SOCKET", host.path("notify")).env("WATCHDOG_USEC", "100000");
    let agent = host.start_as(command);
    assert_eq!(heard(&socket).await, "READY=1");
    for _ in 0..5 {
        assert_eq!(heard(&socket).await, "WATCHDOG=1");
    }
    // A guest that computes does not keep it from being heard.
    let job = host.job(&["busy:1000"; 4]).await;
    host.runs(job).await.next().await.unwrap();
    while let Ok(length) = socket.try_recv(&mut [0; 256]) {
        assert!(length > 0);
    }
    assert_eq!(heard(&socket).await, "WATCHDOG=1");
    agent.signal(rustix::process::Signal::TERM);
    loop {
        match heard(&socket).await.as_str() {
            "WATCHDOG=1" => {}
            words => break assert_eq!(words, "STOPPING=1"),
        }
    }
    // It is watched as long as it drains.
    assert_eq!(heard(&socket).await, "WATCHDOG=1");
    agent.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_that_is_meant_for_another_process_hears_nothing() {
    let host = Host::start().await;
    let socket = UnixDatagram::bind(host.path("notify")).unwrap();
    let mut command = host.agent("one");
    command.arg("--token-file").arg(host.token(1));
    command.env("NOTIFY_SOCKET", host.path("notify")).env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let agent = host.start_as(command);
    assert_eq!(heard(&socket).await, "READY=1");
    host.all_valid(host.job(&["valid"]).await).await;
    agent.stop().await;
    assert_eq!(heard(&socket).await, "STOPPING=1");
    host.stop().await;
}
