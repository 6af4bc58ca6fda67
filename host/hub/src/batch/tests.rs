use pigeon_protocol::{
    frame::Decoder,
    id::{Fence, JobId, LeaseId},
    message::{LeasedItem, RunRange},
};
use proptest::prelude::*;

use super::*;

fn order(sizes: &[u64]) -> LeaseOrder {
    let items = sizes.iter().enumerate();
    LeaseOrder {
        lease: LeaseId(1),
        fence: Fence(2),
        job: JobId::from_bytes([3; 16]),
        attempt: 1,
        items: items.map(|(index, &size)| LeasedItem { index: index as u64, id: format!("f:{index}"), size }).collect(),
        runs: vec![RunRange { first: 0, count: sizes.len() as u64 }],
        bodies: sizes.iter().map(|&size| Bytes::from(vec![7; size as usize])).collect(),
    }
}

proptest! {
    #[test]
    fn joining_keeps_the_bytes(bodies in prop::collection::vec(prop_oneof![0usize..2000, 60_000usize..70_000], 0..100)) {
        let bodies: Vec<Bytes> = bodies.iter().enumerate().map(|(at, &len)| vec![at as u8; len].into()).collect();
        let joined = join(bodies.clone());
        prop_assert!(joined.iter().all(|piece| !piece.is_empty()));
        prop_assert_eq!(joined.concat(), bodies.concat());
    }
}

#[test]
fn thousands_of_small_bodies_become_few_pieces() {
    let joined = join(vec![Bytes::from_static(&[1; 846]); 4957]);
    assert!(joined.len() <= 4957 * 846 / (4 * SMALL) + 2, "{}", joined.len());
}

#[test]
fn long_ids_make_several_heads_of_one_lease() {
    let mut order = order(&[1; 2000]);
    for item in &mut order.items {
        item.id = "p".repeat(4000);
    }
    assert_eq!(check(&order), Ok(()));
    let mut decoder = Decoder::new();
    decoder.push(heads(&mut order.clone()).concat().into());
    let (mut items, mut runs, mut more) = (Vec::new(), Vec::new(), true);
    while let Some(lease) = decoder.message::<Lease>().unwrap() {
        assert!(more, "nothing follows the last");
        assert_eq!((lease.lease, lease.fence), (1, 2));
        items.extend(lease.items);
        runs.extend(lease.runs);
        more = lease.more;
    }
    assert!(!more);
    assert_eq!((items, runs), (order.items, order.runs));
}

#[test]
fn orders_beyond_the_bounds_are_refused() {
    assert_eq!(check(&order(&[10, 20])), Ok(()));
    assert_eq!(check(&order(&[MAX_LEASE_BODIES + 1])), Ok(()), "one item may be larger");
    assert!(check(&order(&[MAX_LEASE_BODIES, 1])).is_err(), "several may not");
    assert!(check(&order(&vec![0; MAX_LEASE_ITEMS + 1])).is_err());
    let mut wrong = order(&[10]);
    wrong.items[0].size = 11;
    assert!(check(&wrong).is_err());
    wrong.items[0].size = u64::MAX;
    wrong.items.push(LeasedItem { index: 1, id: String::new(), size: 11 });
    assert!(check(&wrong).is_err());
    let mut wrong = order(&[10]);
    wrong.runs[0].count = u64::MAX;
    wrong.runs.push(RunRange { first: 0, count: 1 });
    assert!(check(&wrong).is_err());
    let mut wrong = order(&[10]);
    wrong.items[0].id = "p".repeat(MAX_FRAME);
    assert!(check(&wrong).is_err());
}
