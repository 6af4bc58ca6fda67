//! `pigeon serve`: its first start, its second, what it refuses, and its way down.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{LONG, Place, Serving};

#[test]
fn the_first_start_says_what_it_made_and_tells_no_secret() {
    let place = Place::new();
    let first = place.serve(&[]);
    let token = place.read("host/admin.token");
    let modes = ["host", "host/ca", "host/ca/ca.key", "host/admin.token"].map(|name| place.mode(name));
    assert_eq!(modes, [0o700, 0o700, 0o600, 0o600]);
    let ca = std::fs::read(place.path("host/ca/ca.crt")).unwrap();
    let log = first.stop();
    for told in [
        "first start",
        "CA      sha256:",
        "host/admin.token",
        "pigeon context add here --state-dir",
        "pigeon token join",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains(token.trim()), "{log}");

    let second = place.serve(&[]);
    assert!(!second.log().contains("first start"), "{}", second.log());
    second.stop();
    assert_eq!(place.read("host/admin.token"), token);
    assert_eq!(std::fs::read(place.path("host/ca/ca.crt")).unwrap(), ca);
}

#[test]
fn a_start_that_failed_is_not_the_first_one() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", &address];
    for _ in 0..2 {
        let refused = place.run(&args).refused(4);
        assert!(!refused.contains("first start"), "{refused}");
    }
    let first = place.serve(&[]).stop();
    assert!(first.contains("first start") && first.contains("host/admin.token"), "{first}");
    let second = place.serve(&[]).stop();
    assert!(!second.contains("first start"), "{second}");
}

#[test]
fn one_at_a_time_works_in_a_state_folder() {
    let place = Place::new();
    place.write("a.json", "1");
    let first = place.serve(&[]);
    let pid = first.pid().to_string();
    let second = ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"];
    let refused = place.run(&second).refused(4);
    assert!(refused.contains(&pid) && refused.contains("host"), "{refused}");
    let embedded = place.run(&["process", "--state-dir", "host", "-f", "a.json", "-v", "json"]).refused(4);
    assert!(embedded.contains(&pid), "{embedded}");
    // And it has done no harm.
    place.run(&["context", "add", "here", "--state-dir", "host"]).expect(0);
    first.stop();
}

#[test]
fn a_place_that_is_taken_is_named() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", &address];
    let refused = place.run(&args).refused(4);
    assert!(refused.contains(&address) && refused.contains("--api-listen"), "{refused}");

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--state-dir", "host", "--listen", &address, "--api-listen", "127.0.0.1:0"];
    let refused = place.run(&args).refused(4);
    assert!(refused.contains(&format!("is another server on {address}? --listen")), "{refused}");

    let args =
        ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", "0.0.0.0:0", "--api-tls", "off"];
    let refused = place.run(&args).refused(4);
    assert!(refused.contains("loopback"), "{refused}");
}

#[test]
fn a_reload_takes_what_it_can_and_tells_the_rest() {
    let place = Place::new();
    let config = |results: &str, beat: &str| format!("[retention]\nresults = '{results}'\n[agents]\nbeat = '{beat}'\n");
    place.write("serve.toml", config("7d", "5s"));
    let serving = place.serve(&["--config", "serve.toml"]);
    place.write("serve.toml", config("1d", "3s"));
    serving.signal(Signal::HUP);
    serving.says("retention.results is \"1d\" now, and was \"7d\"");
    serving.says("agents.beat stays \"5s\": \"3s\" needs a restart");
    place.write("serve.toml", config("never", "5s"));
    serving.signal(Signal::HUP);
    serving.says("serve.toml:2: retention.results cannot be \"never\"");
    std::fs::remove_file(place.path("serve.toml")).unwrap();
    serving.signal(Signal::HUP);
    serving.says("the settings stay as they are: failed to read the configuration serve.toml; No such file");
    place.write("serve.toml", config("1d", "5s"));
    serving.signal(Signal::HUP);
    serving.says("they are as they were");
    serving.stop();
}

#[test]
fn a_folder_that_cannot_be_served_from_is_told_of_by_what_it_is() {
    let place = Place::new();
    let serve = |dir: &str| {
        place.run(&["serve", "--state-dir", dir, "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]).refused(4)
    };
    place.write("file", "");
    assert!(serve("file").contains("it is there, and is no folder"));
    std::os::unix::fs::symlink("nowhere", place.path("link")).unwrap();
    assert!(serve("link").contains("a link that leads nowhere"));
}

#[test]
fn systemd_hears_when_it_is_ready_reloads_and_stops() {
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let hear = |prefix: &str| {
        let mut bytes = [0; 256];
        loop {
            let length = socket.recv(&mut bytes).unwrap();
            let words = std::str::from_utf8(&bytes[..length]).unwrap();
            if words.starts_with(prefix) {
                return;
            }
            assert_eq!(words, "WATCHDOG=1");
        }
    };
    let args = ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"];
    let mut command = place.command(&args);
    let watchdog = Duration::from_millis(200).as_micros().to_string();
    command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", watchdog);
    let serving = Serving::start_as(&place, command);
    hear("READY=1");
    hear("WATCHDOG=1");
    serving.signal(Signal::HUP);
    hear("RELOADING=1\nMONOTONIC_USEC=");
    hear("READY=1");
    serving.signal(Signal::TERM);
    hear("STOPPING=1");
    serving.says("going down");
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let place = Place::new();
    let args = ["serve", "--state-dir", "host", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"];
    let mut command = place.command(&args);
    command.env("PIGEON_SHUTDOWN_DEADLINE", "1h");
    let mut serving = Serving::start_as(&place, command);
    // A request that is under way, and does not end.
    let api = serving.api();
    let mut request = TcpStream::connect(api.strip_prefix("http://").unwrap()).unwrap();
    let token = place.read("host/admin.token");
    let head = "Host: pigeon\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100";
    write!(request, "POST /api/v1/jobs HTTP/1.1\r\n{head}\r\nAuthorization: Bearer {}\r\n\r\n", token.trim()).unwrap();
    let mut go_on = [0; 12];
    request.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    serving.signal(Signal::TERM);
    serving.says("going down within 1h");
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().code(), Some(130), "{}", serving.log());
    serving.says("stopped at once");
    assert!(serving.running().is_none());
    drop(request);
}
