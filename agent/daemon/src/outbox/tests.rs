use pigeon_protocol::{frame::Decoder, message::FromBatch, outcome::Judgement};

use super::*;

fn lane() -> Arc<Lane> {
    let outbox = Outbox::default();
    outbox.open((LeaseId(1), Fence(2)), JobId::from_bytes([3; 16]), CancellationToken::new()).unwrap()
}

fn outcome(run: u64, log: usize) -> Outcome {
    let answer = Some(Answer::Judgement(Judgement::default()));
    Outcome { run, answer, log: vec![b'x'; log].into(), ..Outcome::default() }
}

async fn next(lane: &Lane) -> Option<FromBatch> {
    let mut decoder = Decoder::new();
    decoder.push(lane.next_frame().await?);
    decoder.message().unwrap()
}

fn runs(batch: &FromBatch) -> Vec<u64> {
    batch.outcomes.iter().map(|outcome| outcome.run).collect()
}

#[tokio::test]
async fn the_first_goes_at_once_and_the_next_are_gathered() {
    let lane = lane();
    let start = Instant::now();
    lane.landed(&outcome(0, 0));
    assert_eq!(runs(&next(&lane).await.unwrap()), [0]);
    lane.landed(&outcome(1, 0));
    lane.landed(&outcome(2, 0));
    assert_eq!(runs(&next(&lane).await.unwrap()), [1, 2]);
    assert!(start.elapsed() >= GATHER_TIME);
    lane.landed(&outcome(3, 0));
    lane.over();
    let last = next(&lane).await.unwrap();
    assert_eq!((runs(&last), last.end), (vec![3], true));
    assert!(next(&lane).await.is_none());
}

#[tokio::test]
async fn a_sleeping_sender_is_woken() {
    let lane = lane();
    let sender = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { next(&lane).await }
    });
    tokio::task::yield_now().await;
    lane.landed(&outcome(5, 0));
    assert_eq!(runs(&sender.await.unwrap().unwrap()), [5]);
}

#[tokio::test]
async fn a_run_that_lasts_is_told_as_begun() {
    let lane = lane();
    lane.begun(7);
    let suspects = next(&lane).await.unwrap();
    assert_eq!((suspects.begun.as_slice(), suspects.outcomes.len()), (&[7][..], 0));
    lane.landed(&outcome(7, 0));
    lane.begun(8);
    let batch = next(&lane).await.unwrap();
    assert_eq!((runs(&batch), batch.begun), (vec![7], vec![8]));
}

#[tokio::test]
async fn what_is_recorded_is_forgotten_and_the_rest_comes_again() {
    let lane = lane();
    for run in 0..3 {
        lane.landed(&outcome(run, 100));
        assert_eq!(runs(&next(&lane).await.unwrap()), [run]);
    }
    let kept = lane.kept.load(Relaxed);
    lane.recorded(1);
    assert!(lane.kept.load(Relaxed) < kept);
    // The connection breaks; the lane ends meanwhile.
    lane.over();
    assert_eq!(lane.rewind(), 1);
    assert_eq!(runs(&next(&lane).await.unwrap()), [1]);
    // A hub that claims more than it was sent forgets nothing for us.
    lane.recorded(1000);
    assert!(!lane.delivered());
    assert_eq!(runs(&next(&lane).await.unwrap()), [2]);
    assert!(next(&lane).await.unwrap().end);
    assert!(next(&lane).await.is_none());
    lane.recorded(3);
    assert!(lane.delivered());
    assert_eq!(lane.kept.load(Relaxed), 0);
}

#[tokio::test]
async fn an_outcome_too_large_for_the_wire_becomes_a_failure() {
    let lane = lane();
    lane.landed(&outcome(4, 2 << 20));
    let batch = next(&lane).await.unwrap();
    assert_eq!(runs(&batch), [4]);
    assert_eq!(batch.outcomes[0].cause(), Some(Cause::OutputTooLarge));
}

#[tokio::test]
async fn a_lane_that_cannot_deliver_is_stopped_before_it_eats_the_memory() {
    let lane = lane();
    let mut run = 0;
    while !lane.cancel.is_cancelled() {
        lane.landed(&outcome(run, 1_000_000));
        run += 1;
        assert!(run < 1000);
    }
    let kept = lane.kept.load(Relaxed);
    assert!((TOO_MUCH..TOO_MUCH + (2 << 20)).contains(&kept), "{kept}");
    let account = Arc::clone(&lane.kept);
    drop(lane);
    assert_eq!(account.load(Relaxed), 0);
}

#[test]
fn a_lease_is_opened_once() {
    let outbox = Outbox::default();
    let open = |lease| outbox.open((LeaseId(lease), Fence(2)), JobId::from_bytes([3; 16]), CancellationToken::new());
    let lane = open(1).unwrap();
    assert!(open(1).is_none());
    outbox.cancel(&[1]);
    assert!(lane.cancel.is_cancelled());
    outbox.forget(&lane);
    assert!(outbox.is_empty());
}
