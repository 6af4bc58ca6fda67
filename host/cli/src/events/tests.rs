use super::*;
use crate::samples::{EVIL, Fake, NOW, assert_harmless, long, view};

fn job() -> JobId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

fn event(seq: u64, kind: EventKind, job: Option<JobId>, message: &str) -> Event {
    let at_ms = NOW + i64::try_from(seq).unwrap() * 1000;
    Event { seq, at_ms, author: "alice".to_owned(), kind, job, subject: None, message: message.to_owned() }
}

fn log() -> Vec<Event> {
    let subject =
        Event { subject: Some("north-1".to_owned()), ..event(3, EventKind::AgentLost, None, "cannot be reached") };
    vec![
        event(1, EventKind::JobSubmitted, Some(job()), "was submitted (json 0.1.0)"),
        event(2, EventKind::JobFinished, Some(job()), "has ended: 1,197 valid, 0 invalid, 3 failures"),
        subject,
        Event { author: String::new(), ..event(1_234_567, EventKind::Swept, None, "12 jobs were older than 7 days") },
    ]
}

#[test]
fn entries_at_several_widths() {
    for width in [40, 80, 160] {
        let text: String = log().iter().map(|event| line(event, &view(width))).collect();
        assert_harmless(&text, width);
        insta::assert_snapshot!(format!("events_{width}"), text);
    }
}

#[test]
fn hostile_words_steer_nothing() {
    let event = Event {
        author: EVIL.to_owned(),
        subject: Some(long()),
        message: long(),
        ..event(1, EventKind::RunsDead, Some(job()), "")
    };
    for width in [20, 40, 80, 200] {
        assert_harmless(&line(&event, &view(width)), width);
    }
    let whole = line(&event, &view(usize::MAX));
    assert_eq!(whole.lines().count(), 1);
    assert_harmless(&whole, usize::MAX);
}

#[test]
fn kinds_are_called_as_in_json() {
    for event in log() {
        assert_eq!(serde_json::to_value(event.kind).unwrap(), kind(event.kind));
    }
    assert_eq!(serde_json::to_value(EventKind::HostReloaded).unwrap(), kind(EventKind::HostReloaded));
}

#[tokio::test]
async fn those_from_a_number_or_a_time_on_are_found_however_many_there_are() {
    let events: Vec<Event> = (1..=3 * MOST_PAGE as u64 + 7).map(|seq| event(seq, EventKind::Swept, None, "")).collect();
    let host = Fake { events, ..Fake::default() };
    let (events, seen) = first(&host, EventFilter { after: 10, job: None }, 1500).await.unwrap();
    assert_eq!((events.len(), events[0].seq, seen), (1500, 11, 1510));
    let (events, seen) = first(&host, EventFilter { after: 3007, job: None }, 10).await.unwrap();
    assert_eq!((events.len(), seen), (0, 3007));

    // Entry number N is of N seconds after NOW.
    for (ms, after) in [(0, 0), (1, 0), (1000, 0), (1001, 1), (2_500_000, 2499), (3_007_000, 3006), (3_007_001, 3007)] {
        assert_eq!(behind(&host, NOW + ms, None).await.unwrap(), after, "{ms} ms");
    }
    assert_eq!(behind(&Fake::default(), NOW, None).await.unwrap(), 0);
}

#[tokio::test]
async fn who_wants_none_of_what_was_follows_from_its_end() {
    let events = (1..=9).map(|seq| event(seq, EventKind::Swept, None, "")).collect();
    let host = Fake { events, ..Fake::default() };
    for (limit, first) in [(0, None), (1, Some(9)), (4, Some(6)), (20, Some(1))] {
        let (events, seen) = last(&host, None, limit).await.unwrap();
        assert_eq!((events.first().map(|event| event.seq), events.len(), seen), (first, limit.min(9), 9));
    }
    assert_eq!(last(&Fake::default(), None, 0).await.unwrap(), (Vec::new(), 0));
}

#[test]
fn a_time_is_itself_or_how_long_ago_it_was() {
    assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1000));
    let (ago, now) = (since("2h").unwrap(), Timestamp::now().as_millisecond());
    assert!((now - 7_200_000 - 60_000..=now - 7_200_000).contains(&ago), "{ago}");
    assert!(since("yesterday").unwrap_err().contains("2h"));
}
