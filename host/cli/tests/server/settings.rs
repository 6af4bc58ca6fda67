//! Settings of `pigeon serve`: where they come from, and what is told of wrong ones.

use crate::support::{Place, ended};

#[test]
fn what_is_printed_can_be_served_with() {
    let place = Place::new();
    let printed = place.run(&["serve", "--print-config"]).expect(0).stdout;
    for told in ["[agents]", "listen = \"0.0.0.0:4781\"", "# In the environment: PIGEON_API_LISTEN", "[retention]"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    place.write("serve.toml", &printed);
    let again = place.run(&["serve", "--config", "serve.toml", "--print-config"]).expect(0).stdout;
    assert_eq!(again, printed);
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let place = Place::new();
    place.write("serve.toml", "[api]\nlisten = '127.0.0.1:1'\n[agents]\nlisten = '127.0.0.1:2'\nbeat = '9s'\n");
    let mut command = place.command(&["serve", "--print-config", "--listen", "127.0.0.1:4"]);
    command.env("PIGEON_CONFIG", "serve.toml").env("PIGEON_API_LISTEN", "127.0.0.1:3").env("PIGEON_AGENTS_LISTEN", "x");
    // A flag does not hide that the environment is wrong.
    let refused = ended(command.output().unwrap()).refused(2);
    assert!(refused.contains("PIGEON_AGENTS_LISTEN"), "{refused}");
    command.env("PIGEON_AGENTS_LISTEN", "127.0.0.1:5");
    let printed = ended(command.output().unwrap()).expect(0).stdout;
    for told in ["listen = \"127.0.0.1:3\"", "listen = \"127.0.0.1:4\"", "beat = \"9s\""] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_would_be_right() {
    let place = Place::new();
    for (text, told) in [
        (
            "[api]\nlisten = '127.0.0.1'\n",
            ["serve.toml:2: api.listen cannot be \"127.0.0.1\"", "an address and a port"],
        ),
        ("\n[api]\nlisten_on = '127.0.0.1:1'\n", ["serve.toml:3: there is no setting api.listen_on", "api.listen?"]),
        ("[agent]\n", ["serve.toml:1: there is no section \"agent\"", "agents?"]),
        ("listen\n", ["serve.toml:1: this is no TOML", "name = \"value\""]),
    ] {
        place.write("serve.toml", text);
        let refused = place.run(&["serve", "--config", "serve.toml"]).refused(2);
        assert!(told.iter().all(|told| refused.contains(told)), "{text}: {refused}");
    }
    let refused = place.run(&["serve", "--config", "no.toml"]).refused(2);
    assert!(refused.contains("no.toml") && refused.contains("--print-config"), "{refused}");
}

#[test]
fn a_variable_that_nobody_reads_is_told_of() {
    let place = Place::new();
    let mut command = place.command(&["serve", "--print-config"]);
    command.env("PIGEON_API_LISTN", "127.0.0.1:1").env("PIGEON_API_LISTEN", "127.0.0.1:2");
    let printed = ended(command.output().unwrap()).expect(0);
    let told = "nothing reads PIGEON_API_LISTN of the environment: did you mean PIGEON_API_LISTEN?";
    assert_eq!(printed.stderr.lines().collect::<Vec<_>>(), [format!("warning: {told}")]);
    assert!(printed.stdout.contains("listen = \"127.0.0.1:2\""), "{}", printed.stdout);
}

#[test]
fn who_wants_it_quiet_is_not_told_of_variables() {
    let place = Place::new();
    place.write("one.txt", "one");
    for (quiet, told) in [("--no-progress", true), ("--quiet", false)] {
        let mut command = place.command(&["process", "-f", "one.txt", "-v", "echo", "--state-dir", "own", quiet]);
        let output = ended(command.env("PIGEON_API_LISTN", "x").output().unwrap()).expect(0);
        assert_eq!(output.stderr.contains("nothing reads"), told, "{output:?}");
    }
}
