//! Which room may lean on which (DESIGN.md, section 1): read from `cargo metadata`, held here.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What each room may lean on, and no more.
const ARROWS: [(&str, &[&str]); 10] = [
    (
        "pigeon",
        // Hub, store and scheduler are reached only through control.
        &["pigeon-agent", "pigeon-api", "pigeon-control", "pigeon-plugins", "pigeon-protocol", "pigeon-runtime"],
    ),
    ("pigeon-api", &["pigeon-protocol"]),
    (
        "pigeon-control",
        &["pigeon-api", "pigeon-hub", "pigeon-plugins", "pigeon-protocol", "pigeon-scheduler", "pigeon-store"],
    ),
    ("pigeon-hub", &["pigeon-protocol"]),
    ("pigeon-store", &["pigeon-protocol"]),
    ("pigeon-scheduler", &["pigeon-protocol"]),
    ("pigeon-agent", &["pigeon-protocol", "pigeon-runtime"]),
    ("pigeon-runtime", &[]),
    ("pigeon-protocol", &[]),
    ("pigeon-plugins", &[]),
];

/// What the tests of a room may lean on besides. Tests that need both sides live in host/: the hub's have a real agent.
const TESTS: [(&str, &[&str]); 3] = [
    ("pigeon-hub", &["pigeon-agent", "pigeon-plugins", "pigeon-runtime"]),
    ("pigeon-agent", &["pigeon-plugins"]),
    ("pigeon-runtime", &["pigeon-plugins"]),
];

/// What must not be reached, however far away.
const NEVER: [(&str, &[&str]); 5] = [
    ("pigeon-protocol", &["tokio", "quinn", "wasmtime"]),
    ("pigeon-scheduler", &["tokio", "quinn", "rusqlite", "rustix", "wasmtime"]),
    ("pigeon-runtime", &["quinn", "reqwest", "hyper", "ureq", "pigeon-protocol"]),
    ("pigeon-hub", &["pigeon-store", "rusqlite", "wasmtime"]),
    ("pigeon-store", &["pigeon-hub", "quinn", "wasmtime"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).exec().unwrap()
}

/// Names of what each package leans on directly, whatever for.
fn direct(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let members = metadata.workspace_packages();
    let of = |package: &cargo_metadata::Package| {
        let names = package.dependencies.iter().map(|dependency| dependency.name.to_string()).collect();
        (package.name.to_string(), names)
    };
    members.into_iter().map(of).collect()
}

#[test]
fn rooms_lean_on_nothing_but_what_they_may() {
    let metadata = metadata();
    let allows = |arrows: &[(&str, &[&str])], room: &str, name: &str| {
        arrows.iter().any(|(from, to)| *from == room && to.contains(&name))
    };
    for package in metadata.workspace_packages() {
        let room = package.name.as_str();
        assert!(ARROWS.iter().any(|(name, _)| *name == room), "{room} is new: say in ARROWS what it may lean on");
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let ours = ARROWS.iter().any(|(ours, _)| *ours == name);
            let test = dependency.kind == DependencyKind::Development && allows(&TESTS, room, name);
            assert!(!ours || test || allows(&ARROWS, room, name), "{room} must not lean on {name} ({dependency:?})");
        }
    }
    assert_eq!(metadata.workspace_packages().len(), ARROWS.len(), "a room is gone: take it out of ARROWS");
}

#[test]
fn agents_never_look_back_at_the_host() {
    let metadata = metadata();
    let root = metadata.workspace_root.clone();
    let room = |package: &cargo_metadata::Package| {
        let path = package.manifest_path.strip_prefix(&root).ok()?;
        path.components().next().map(|room| room.as_str().to_owned())
    };
    let packages = metadata.workspace_packages();
    let hosts: BTreeSet<_> = packages
        .iter()
        .filter(|package| room(package).as_deref() == Some("host"))
        .map(|package| &package.name)
        .collect();
    assert!(!hosts.is_empty());
    for package in packages.iter().filter(|package| room(package).as_deref() == Some("agent")) {
        for dependency in &package.dependencies {
            let host = hosts.iter().any(|host| host.as_str() == dependency.name);
            assert!(!host, "{} must not lean on {}", package.name, dependency.name);
        }
    }
}

#[test]
fn what_must_not_be_reached_is_not() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    for (room, never) in NEVER {
        let start = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == room).unwrap();
        // Dev-dependencies of the room itself count; those of what it leans on are not built for it.
        let mut seen: BTreeSet<&PackageId> = BTreeSet::new();
        let mut open = vec![&start.id];
        while let Some(id) = open.pop() {
            for dependency in &nodes[id].deps {
                let wanted = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
                if wanted && seen.insert(&dependency.pkg) {
                    open.push(&dependency.pkg);
                }
            }
        }
        for id in seen {
            let name = &metadata[id].name;
            assert!(!never.contains(&name.as_str()), "{room} must not reach {name}");
        }
    }
}

#[test]
fn nobody_but_the_fleet_names_aws() {
    for (room, leans) in direct(&metadata()) {
        let aws = leans.iter().find(|name| name.starts_with("aws-"));
        assert!(aws.is_none() || room == "pigeon-fleet", "{room} must not lean on {aws:?}");
    }
}
