use std::sync::Arc;

use pigeon_protocol::{
    frame::Decoder,
    id::{Fence, JobId, LeaseId},
    message::{JobContext, LeasedItems, OptionSize, RunRange},
};
use proptest::prelude::*;

use super::*;

fn order(sizes: &[u64]) -> LeaseOrder {
    let mut items = LeasedItems::new(0);
    sizes.iter().enumerate().for_each(|(index, size)| items.push(&format!("f:{index}"), *size));
    LeaseOrder {
        lease: LeaseId(1),
        fence: Fence(2),
        job: JobId::from_bytes([3; 16]),
        attempt: 1,
        context: None,
        items: vec![items],
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
fn what_is_short_of_a_jobs_context_goes_with_its_first_head() {
    for (length, goes) in [(0, true), (JobAnswer::SHORT - "key".len(), true), (JobAnswer::SHORT, false)] {
        let mut order = order(&[1]);
        let options = vec![("key".to_owned(), "v".repeat(length))];
        let context = JobContext { seed: 7, ..JobContext::default() };
        order.context = Some(Arc::new(JobAnswer { context, options }));
        let mut decoder = Decoder::new();
        decoder.push(heads(&mut order).concat().into());
        let lease = decoder.message::<Lease>().unwrap().unwrap();
        assert_eq!(lease.context.is_some(), goes, "{length}");
        let Some(context) = lease.context else { continue };
        assert_eq!((context.known, context.seed), (true, 7));
        let [OptionSize { key, size, value }] = &context.options[..] else { panic!("{context:?}") };
        assert_eq!((&**key, *size, value.as_ref().map(String::len)), ("key", length as u64, Some(length)));
    }
}

#[test]
fn long_ids_make_several_heads_of_one_lease() {
    let mut order = order(&[1; 2000]);
    let mut items = LeasedItems::new(5);
    (0..2000).for_each(|_| items.push(&"p".repeat(4000), 1));
    order.items = vec![items];
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
    assert!(items.len() > 10, "{}", items.len());
    let seen = |stretches: &[LeasedItems]| -> Vec<(u64, usize, u64)> {
        let items = stretches.iter().flat_map(|stretch| stretch.items().unwrap());
        items.map(|(index, id, size)| (index, id.len(), size)).collect()
    };
    assert_eq!((seen(&items), runs), (seen(&order.items), order.runs));
}

#[test]
fn orders_beyond_the_bounds_are_refused() {
    assert_eq!(check(&order(&[10, 20])), Ok(()));
    assert_eq!(check(&order(&[MAX_LEASE_BODIES + 1])), Ok(()), "one item may be larger");
    assert!(check(&order(&[MAX_LEASE_BODIES, 1])).is_err(), "several may not");
    assert!(check(&order(&vec![0; MAX_LEASE_ITEMS + 1])).is_err());
    let mut wrong = order(&[10]);
    wrong.items[0].sizes[0] = 11;
    assert!(check(&wrong).is_err());
    wrong.items[0].sizes[0] = u64::MAX;
    wrong.items[0].push("", 11);
    assert!(check(&wrong).is_err());
    let mut wrong = order(&[10]);
    wrong.runs[0].count = u64::MAX;
    wrong.runs.push(RunRange { first: 0, count: 1 });
    assert!(check(&wrong).is_err());
    let mut wrong = order(&[10]);
    wrong.items[0] = LeasedItems::new(0);
    wrong.items[0].push(&"p".repeat(MAX_FRAME), 10);
    assert!(check(&wrong).is_err());
    let mut torn = order(&[10]);
    torn.items[0].id_sizes.push(1);
    assert!(check(&torn).is_err());
}
