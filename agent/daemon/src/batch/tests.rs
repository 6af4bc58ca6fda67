use pigeon_protocol::id::{Digest, Shape};

use super::*;

/// Items that are named after their numbers.
fn stretch(first: u64, sizes: &[u64]) -> LeasedItems {
    let mut items = LeasedItems::new(first);
    sizes.iter().zip(first..).for_each(|(size, index)| items.push(&index.to_string(), *size));
    items
}

fn lease(sizes: &[u64], runs: &[(u64, u64)]) -> Lease {
    Lease {
        items: vec![stretch(0, sizes)],
        runs: runs.iter().map(|&(first, count)| RunRange { first, count }).collect(),
        ..Lease::default()
    }
}

fn job(places: u32, iterations: u32) -> JobEntry {
    JobEntry { job: Arc::default(), plugin: Digest::of(b""), seed: 42, shape: Shape { places, iterations } }
}

#[test]
fn bounds_are_checked_before_room_is_made() {
    assert_eq!(check(&lease(&[1, 2], &[(0, 2)])).unwrap(), 3);
    assert!(check(&lease(&[MAX_LEASE_BODIES + 1], &[(0, 1)])).is_ok(), "one item may be larger");
    assert!(check(&lease(&[MAX_ITEM + 1], &[(0, 1)])).is_err());
    assert!(check(&lease(&[MAX_LEASE_BODIES, 1], &[(0, 1)])).is_err());
    assert!(check(&lease(&[u64::MAX, 2], &[(0, 1)])).is_err(), "sums do not overflow");
    let mut empty = lease(&[1], &[(0, 1)]);
    empty.items.resize(MAX_LEASE_ITEMS + 1, LeasedItems::default());
    assert!(check(&empty).is_err(), "stretches without items count, too");
    let mut torn = lease(&[1], &[(0, 1)]);
    torn.items[0].id_sizes[0] = u32::MAX;
    assert!(check(&torn).is_err(), "ids lie within their text");
    assert!(check(&lease(&[1], &[(0, MAX_LEASE_RUNS + 1)])).is_err());
    assert!(check(&lease(&[1], &[(0, u64::MAX), (0, 2)])).is_err());
    assert!(check(&lease(&[1], &[(u64::MAX, 2)])).is_err(), "no run lies beyond the last number");
}

#[test]
fn runs_find_their_items_whatever_the_order() {
    let mut lease = lease(&[], &[(6, 6), (0, 2)]);
    lease.items = vec![stretch(2, &[1]), stretch(0, &[3, 2])];
    let items = slice(lease.items, Bytes::from_static(b"acccbb"));
    assert_eq!(items.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
    let runs = runs(Batch { job: None, items, runs: lease.runs }, &job(1, 4));
    let seen: Vec<_> = runs.iter().map(|run| (run.index, &*run.item.id, &run.item.body[..], run.iteration)).collect();
    // The bodies came in the order of the message: item 2 is "a", item 0 "ccc", item 1 "bb".
    assert_eq!(seen.len(), 8);
    assert_eq!(seen[0], (6, "1", &b"bb"[..], 2));
    assert_eq!(seen[2], (8, "2", &b"a"[..], 0));
    assert_eq!(seen[6], (0, "0", &b"ccc"[..], 0));
    assert_eq!(runs[0].seed, run_seed(42, 1, 0, 2));
}

#[test]
fn a_run_without_its_item_is_left_out() {
    let lease = lease(&[1], &[(0, 3)]);
    let items = slice(lease.items, Bytes::from_static(b"a"));
    assert_eq!(runs(Batch { job: None, items, runs: lease.runs }, &job(1, 1)).len(), 1);
}
