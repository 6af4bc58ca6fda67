use std::{cell::RefCell, future::pending};

use futures::FutureExt as _;
use pigeon_api::Done;

use super::*;
use crate::paint::Colours;

fn revoked(name: &str) -> Result<(Deed, String), Failed> {
    Ok((Deed::done(name, Done::Revoked), "revoked".to_owned()))
}

fn of(deeds: &Deeds) -> Vec<String> {
    deeds.deeds.iter().map(|deed| deed.of.clone()).collect()
}

#[tokio::test]
async fn those_that_are_to_come_last_do_and_are_told_of_in_their_place() {
    for named in [["own", "ci", "cj"], ["ci", "own", "cj"], ["ci", "cj", "own"]] {
        let (done, mut told) = (RefCell::new(Vec::new()), Vec::new());
        let act = async |name: &&'static str| {
            done.borrow_mut().push(*name);
            revoked(name)
        };
        let write = |deeds: &Deeds| {
            told.push(of(deeds));
            Ok(())
        };
        let screen = Screen::new(Colours::Never);
        let exit = gather("token", &named, (&screen, None), write, |name| *name == "own", act).await.unwrap();
        assert_eq!((exit, done.into_inner()), (Exit::Valid, vec!["ci", "cj", "own"]));
        assert_eq!(told, [named]);
    }
}

#[test]
fn what_was_done_before_ctrl_c_is_told() {
    for (names, expected) in [(["a", "b", "slow", "c"], vec![["a", "b"]]), (["slow", "a", "b", "c"], vec![])] {
        let mut told = Vec::new();
        let write = |deeds: &Deeds| {
            told.push(of(deeds));
            Ok(())
        };
        let act = async |name: &&str| match *name {
            "slow" => pending().await,
            name => revoked(name),
        };
        let screen = Screen::new(Colours::Never);
        // What Ctrl-C does to it.
        let ended = gather("token", &names, (&screen, None), write, |_| false, act).now_or_never();
        assert!(ended.is_none());
        assert_eq!(told, expected);
    }
}
