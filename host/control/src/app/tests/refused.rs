//! What is not taken.

use super::*;

#[tokio::test]
async fn keys_of_schedules_are_theirs() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    let mut request = JobRequest::new(plugin.digest, Work::Many { iterations: 1, workers: None });
    request.key = Some("schedule:nightly:now".to_owned());
    for author in ["", "anna", "nightly", "schedule other", "schedule night"] {
        let refused = app.client_as(author).submit(request.clone()).await;
        assert_eq!(kind(refused), ErrorKind::BadRequest, "{author:?}");
    }
    app.client_as("schedule nightly").submit(request).await.unwrap();
    stop(app).await;
}

#[tokio::test]
async fn a_job_that_would_have_nothing_run_is_refused() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    let mut request = JobRequest::new(plugin.digest, Work::Many { iterations: 1, workers: None });
    request.max_parallel = Some(0);
    assert_eq!(kind(app.client.submit(request.clone()).await), ErrorKind::BadRequest);
    request.max_parallel = Some(1);
    app.client.submit(request).await.unwrap();
    stop(app).await;
}

#[tokio::test]
async fn chunks_come_one_after_another() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    app.client.append(job, chunk(0, 0, &[FITS])).await.unwrap();
    let refused = app.client.append(job, chunk(3, 3, &[FITS])).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(why, format!("job {job} was given chunk 3 where chunk 1 is next"));
    assert!(refused.hint.is_some());
    stop(app).await;
}

#[tokio::test]
async fn nobody_grants_what_the_manifest_does_not() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let plugin = app.client.publish(Bytes::from_static(b"a")).await.unwrap();
    let mut request = JobRequest::new(plugin.digest, Work::Many { iterations: 1, workers: None });
    request.grants = vec!["wasi:sockets".to_owned()];
    assert_eq!(kind(app.client.submit(request).await), ErrorKind::Forbidden);
    stop(app).await;
}

#[tokio::test]
async fn chunks_that_could_not_be_leased_are_too_large() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    let job = submit(&app, "a", |_| {}).await;
    let of = |count: usize, id: &str, body: &str| {
        let mut builder = ChunkBuilder::new(0, 0);
        (0..count).for_each(|_| builder.push(|out| out.extend_from_slice(id.as_bytes()), 0, body.as_bytes()));
        builder.finish(Bytes::new())
    };
    let (large, long) = ("x".repeat(Chunk::TARGET), "i".repeat(Chunk::TARGET));
    for chunk in [of(3, "", &large), of(1 + (1 << 16), "", ""), of(1, &long, ""), of(3, &long[..1 << 18], "")] {
        let size = (chunk.len(), chunk.ids.len(), chunk.bodies.len());
        if size == (3, 3 << 18, 0) {
            app.client.append(job, chunk).await.unwrap();
        } else {
            assert_eq!(kind(app.client.append(job, chunk).await), ErrorKind::TooLarge, "{size:?}");
        }
    }
    stop(app).await;
}

#[tokio::test]
async fn what_is_not_there_is_said_not_to_be() {
    let dir = TempDir::new().unwrap();
    let app = server(dir.path()).await;
    app.client.publish(Bytes::from_static(b"mine")).await.unwrap();
    let job: JobId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    for error in [app.client.job(job).await.err().unwrap(), app.client.delete(job).await.err().unwrap()] {
        assert_eq!((error.kind, &*error.message), (ErrorKind::NotFound, &*format!("there is no job {job}")));
        assert!(error.hint.is_some() && std::error::Error::source(&error).is_none());
    }
    for (named, near) in [("mnie", "did you mean `mine`?"), ("mine@2.0.0", "there is `mine@1.0.0`;")] {
        let error = app.client.plugin(named).await.err().unwrap();
        let hint = error.hint.unwrap();
        assert!(error.kind == ErrorKind::NotFound && hint.starts_with(near), "{hint}");
    }
    let error = app.client.plugin_limits("mnie").await.err().unwrap();
    assert_eq!(error.message, "there is no plugin named \"mnie\"");
    assert!(error.hint.unwrap().starts_with("did you mean `mine`?"));
    stop(app).await;
}
