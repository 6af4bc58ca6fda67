//! Agents that take leases and do not do their part, or answer for those of others.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use pigeon_hub::{CertificateAuthority, Offence, SessionEnd};
use pigeon_protocol::{
    id::LeaseId,
    message::{Deliver, Lease, Recorded, request::Ask},
};
use tokio::time::timeout;

use crate::{
    peer::{Honest, Hostile, ask, outcomes, read, thrown_out},
    support::{Control, Host, LONG, bodies, job_id, order},
};

/// A host that waits half a second for the end of a lease that was taken from its agent.
async fn impatient() -> Host {
    let (ca, listen) = (CertificateAuthority::new_in_memory().unwrap(), "127.0.0.1:0".parse().unwrap());
    Host::start_with(listen, ca, |config| config.patience = Duration::from_millis(500)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_taken_and_never_answered_leaves_nothing_behind() {
    let host = impatient().await;
    let mut honest = Honest::beside(&host).await;
    let hostile = Hostile::enter(&host).await;
    for lease in 1..=5 {
        let (_send, mut recv) = hostile.lease(&host, lease).await;
        let told: Lease = read(&mut recv).await;
        assert_eq!(told.lease, lease);
        // Control gives it to another, and tells. Nothing comes of that.
        host.hub.handle().cancel(hostile.session, vec![LeaseId(lease)]);
        assert!(host.broke(lease).await.contains("did not end the lease in time"));
        host.offended(Offence::SilentLease, lease).await;
        honest.judges(&host).await;
    }
    // Late, and on a stream that is gone: nothing lands.
    assert!(host.control.landed_of(1).is_empty());
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_late_with_every_lease_stays() {
    let host = impatient().await;
    let hostile = Hostile::enter(&host).await;
    // More often than streams may be garbled.
    for round in 0..2 {
        let (mut streams, leases) = (Vec::new(), round * 70 + 1..=round * 70 + 70);
        for lease in leases.clone() {
            let (send, mut recv) = hostile.lease(&host, lease).await;
            read::<Lease>(&mut recv).await;
            streams.push((send, recv));
        }
        host.hub.handle().cancel(hostile.session, leases.map(LeaseId).collect());
        host.offended(Offence::SilentLease, (round + 1) * 70).await;
    }
    let (mut send, _recv) = hostile.lease(&host, 1000).await;
    send.write_chunk(outcomes([1000], true)).await.unwrap();
    host.control.ended(1000).await;
    host.offended(Offence::Protocol, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_taken_while_it_is_sent_is_broken_off_at_once() {
    let host = Host::start().await;
    let hostile = Hostile::enter(&host).await;
    // More than QUIC takes ahead of a reader.
    let order = order(1, 1, &bodies([4 << 20]));
    host.hub.handle().lease(hostile.session, order).unwrap();
    let (_send, mut recv) = timeout(LONG, hostile.connection.accept_bi()).await.unwrap().unwrap();
    host.hub.handle().cancel(hostile.session, vec![LeaseId(1)]);
    assert!(host.broke(1).await.contains("before all of it was sent"));
    assert!(timeout(LONG, recv.read_to_end(8 << 20)).await.unwrap().is_err(), "reset by the hub");
    for offence in [Offence::SilentLease, Offence::LeaseStream] {
        host.offended(offence, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_not_late_while_its_outcomes_wait_for_the_disk() {
    let host = impatient().await;
    let hostile = Hostile::enter(&host).await;
    *host.control.recorders.lock().unwrap() = Some(Vec::new());
    let (mut send, _recv) = hostile.lease(&host, 1).await;
    send.write_chunk(outcomes([1], false)).await.unwrap();
    let recorder = |control: &Control| control.recorders.lock().unwrap().as_mut()?.pop();
    let recorder = host.control.until("outcomes land", recorder).await;
    host.hub.handle().cancel(hostile.session, vec![LeaseId(1)]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    host.offended(Offence::SilentLease, 0).await;
    // It is, from now on.
    recorder.done();
    assert!(host.broke(1).await.contains("did not end the lease in time"));
    host.offended(Offence::SilentLease, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_a_leases_stream_breaks_that_lease() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let hostile = Hostile::enter(&host).await;
    let garbage = [&[0xff; 64][..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], &[1, 0]];
    for (lease, garbage) in (1..).zip(garbage) {
        let (mut send, _recv) = hostile.lease(&host, lease).await;
        send.write_all(garbage).await.unwrap();
        let _ = send.finish();
        host.broke(lease).await;
        host.offended(Offence::LeaseStream, lease).await;
    }
    // It may still do better.
    let (mut send, _recv) = hostile.lease(&host, 9).await;
    send.write_chunk(outcomes([9], true)).await.unwrap();
    assert_eq!(host.control.ended(9).await[0].outcomes.len(), 1);
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_off_lease_after_lease_is_cut_off() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let hostile = Hostile::enter(&host).await;
    for lease in 1..128 {
        let (mut send, _recv) = hostile.lease(&host, lease).await;
        send.reset(1u32.into()).unwrap();
        host.broke(lease).await;
    }
    let (mut send, _recv) = hostile.lease(&host, 128).await;
    send.reset(1u32.into()).unwrap();
    assert!(thrown_out(&hostile.connection).await.contains("too many streams"));
    assert!(matches!(host.control.left(hostile.session).await, SessionEnd::Misbehaved(_)));
    host.offended(Offence::LeaseStream, 128).await;
    host.offended(Offence::Protocol, 1).await;
    honest.leaves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_for_leases_that_are_not_held_are_refused_and_the_agent_is_told() {
    let host = Host::start().await;
    let honest = Honest::beside(&host).await;
    let hostile = Hostile::enter(&host).await;
    host.control.refuses.store(true, SeqCst);
    for times in 1..=50 {
        let deliver = Deliver { lease: 77, fence: times, job: job_id().to_bytes().to_vec() };
        let (mut send, mut recv) = ask(&hostile.connection, Ask::Deliver(deliver)).await;
        send.write_chunk(outcomes(0..3, false)).await.unwrap();
        assert_eq!(read::<Recorded>(&mut recv).await, Recorded { count: 3, refused: 3 });
        send.write_chunk(outcomes(3..5, true)).await.unwrap();
        assert_eq!(read::<Recorded>(&mut recv).await, Recorded { count: 5, refused: 5 });
        host.offended(Offence::NotHeld, times * 2).await;
    }
    host.control.refuses.store(false, SeqCst);
    honest.leaves(&host).await;
}
