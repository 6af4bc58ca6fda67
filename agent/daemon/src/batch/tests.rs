use pigeon_protocol::id::{Digest, Shape};

use super::*;

fn lease(sizes: &[u64], runs: &[(u64, u64)]) -> Lease {
    let items = sizes.iter().zip(0..);
    Lease {
        items: items.map(|(&size, index)| LeasedItem { index, id: index.to_string(), size }).collect(),
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
    assert!(check(&lease(&[1], &[(0, MAX_LEASE_RUNS + 1)])).is_err());
    assert!(check(&lease(&[1], &[(0, u64::MAX), (0, 2)])).is_err());
    assert!(check(&lease(&[1], &[(u64::MAX, 2)])).is_err(), "no run lies beyond the last number");
}

#[test]
fn runs_find_their_items_whatever_the_order() {
    let mut lease = lease(&[3, 2, 1], &[(6, 6), (0, 2)]);
    lease.items.reverse();
    let items = slice(lease.items, Bytes::from_static(b"abbccc"));
    assert_eq!(items.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
    let runs = runs(Batch { items, runs: lease.runs }, &job(1, 4));
    let seen: Vec<_> = runs.iter().map(|run| (run.index, &*run.item.id, &run.item.body[..], run.iteration)).collect();
    // The bodies came in the order of the message: item 2 is "a", item 1 "bb", item 0 "ccc".
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
    assert_eq!(runs(Batch { items, runs: lease.runs }, &job(1, 1)).len(), 1);
}
