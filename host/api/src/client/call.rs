//! One call: the request, what came of it in words, and when it is made again.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt as _};
use http_body::{Frame, SizeHint};
use reqwest::{Method, Response, StatusCode, Url, header};
use rustls::{CertificateError, InvalidMessage};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Inner,
    lines::{Body, unreadable},
    pace::{Pace, Repeat, Sort, Trouble},
    tls::NotPinned,
};
use crate::{ApiError, ErrorKind, PROBLEM_MEDIA_TYPE, Problem, Result, wire};

/// How long an answer may take to begin, and a piece of it to come.
const SILENCE: Duration = Duration::from_secs(60);

/// No connection that is of use sends less, in bytes a second: it bounds how long an upload may take.
const LEAST_SPEED: u64 = 32 << 10;

/// Bytes that an answer may have which is taken as a whole: a dead letter with an item of 64 MiB, twice.
const MOST_WHOLE: usize = 512 << 20;

/// Bytes that are read of an answer which tells of a problem.
const MOST_PROBLEM: usize = 1 << 20;

/// A call.
pub(super) struct Call {
    method: Method,
    url: Url,
    payload: Payload,
    repeat: Repeat,
    /// Makes a call safe to repeat that is not so in itself.
    key: Option<String>,
    /// How long the answer may take to begin.
    silence: Duration,
    /// Whether a refusal for now is waited out for as long as it takes.
    patient: bool,
}

enum Payload {
    None,
    Json(Bytes),
    Component(Bytes),
    Chunk(Vec<Bytes>),
}

impl Call {
    /// Look at something.
    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Repeat::Safe)
    }

    /// Put something where it may be already.
    pub(super) fn put(url: Url) -> Self {
        Self::new(Method::PUT, url, Repeat::Safe)
    }

    /// Do something.
    pub(super) fn post(url: Url) -> Self {
        Self::new(Method::POST, url, Repeat::Unheard)
    }

    /// Remove something.
    pub(super) fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url, Repeat::Unheard)
    }

    fn new(method: Method, url: Url, repeat: Repeat) -> Self {
        Self { method, url, payload: Payload::None, repeat, key: None, silence: SILENCE, patient: false }
    }

    /// With this document.
    pub(super) fn json<T: Serialize>(mut self, body: &T) -> Result<Self> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|error| ApiError::new(ErrorKind::Internal, "failed to write JSON").caused_by(error))?;
        self.payload = Payload::Json(body.into());
        Ok(self)
    }

    /// With this component.
    pub(super) fn component(mut self, component: Bytes) -> Self {
        self.silence += upload_time(component.len() as u64);
        self.payload = Payload::Component(component);
        self
    }

    /// With this chunk, packed.
    pub(super) fn chunk(mut self, pieces: Vec<Bytes>) -> Self {
        self.silence += upload_time(pieces.iter().map(|piece| piece.len() as u64).sum());
        self.payload = Payload::Chunk(pieces);
        self
    }

    /// Twice is once, because both have this key.
    pub(super) fn key(mut self, key: String) -> Self {
        self.key = Some(key);
        self.safe()
    }

    /// Twice is once.
    pub(super) fn safe(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// The answer may take so long to begin.
    pub(super) fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// As long as the control host says that it is too busy, it is asked again.
    pub(super) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }
}

fn upload_time(size: u64) -> Duration {
    Duration::from_secs(size / LEAST_SPEED)
}

impl Inner {
    /// The answer to a call, taken as a whole, with its status.
    pub(super) async fn whole(&self, call: &Call) -> Result<(StatusCode, Bytes)> {
        let mut pace = Pace::default();
        loop {
            let answer = match self.attempt(call).await {
                Ok(response) => {
                    let status = response.status();
                    gather(body(response), MOST_WHOLE).await.map(|bytes| (status, bytes))
                }
                Err(trouble) => Err(trouble),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(trouble) => self.rest(&mut pace, call, trouble).await?,
            }
        }
    }

    /// The answer to a call as a document.
    pub(super) async fn document<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (_, bytes) = self.whole(&call).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::new(ErrorKind::Internal, format!("what {} answered cannot be read", call.url))
                .hint("see whether a control host is there, and one of this version")
                .caused_by(error)
        })
    }

    /// That a call was done.
    pub(super) async fn done(&self, call: Call) -> Result<()> {
        self.whole(&call).await.map(drop)
    }

    /// The answer to a call as it comes in.
    pub(super) async fn open(&self, call: &Call) -> Result<Body> {
        let mut pace = Pace::default();
        loop {
            match self.attempt(call).await {
                Ok(response) => return Ok(body(response)),
                Err(trouble) => self.rest(&mut pace, call, trouble).await?,
            }
        }
    }

    /// Wait for the next attempt, or give up.
    async fn rest(&self, pace: &mut Pace, call: &Call, trouble: Trouble) -> Result<()> {
        if call.patient && matches!(trouble.sort, Sort::Later(_)) {
            pace.reset();
        }
        self.pause(pace, call.repeat, trouble).await
    }

    /// The same for whatever else is tried again.
    pub(super) async fn pause(&self, pace: &mut Pace, repeat: Repeat, trouble: Trouble) -> Result<()> {
        let (jitter, now) = (rand::random_range(0.0..1.0), Instant::now());
        match pace.next(trouble.sort, repeat, self.patience(), now, jitter) {
            Some(wait) => {
                // One that says "later" is there.
                if trouble.error.kind == ErrorKind::Unreachable {
                    self.presence.missed(now, wait);
                }
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(trouble.error),
        }
    }

    /// Ask once.
    async fn attempt(&self, call: &Call) -> Result<Response, Trouble> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        request = match &call.payload {
            Payload::None => request,
            Payload::Json(json) => request.header(header::CONTENT_TYPE, "application/json").body(json.clone()),
            Payload::Component(wasm) => request.header(header::CONTENT_TYPE, "application/wasm").body(wasm.clone()),
            Payload::Chunk(pieces) => request
                .header(header::CONTENT_TYPE, wire::CHUNK_MEDIA_TYPE)
                .body(reqwest::Body::wrap(Pieces(pieces.clone().into()))),
        };
        let response = match tokio::time::timeout(call.silence, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(unsent(&call.url, &error)),
            Err(_) => return Err(silent(&call.url)),
        };
        self.presence.reached();
        if ErrorKind::of_status(response.status().as_u16()) != ErrorKind::Unreachable {
            self.presence.answered(Instant::now());
        }
        if response.status().is_success() { Ok(response) } else { Err(refused(&call.url, response).await) }
    }
}

/// An answer's body as it comes in.
fn body(response: Response) -> Body {
    let url = response.url().clone();
    stream::unfold(Some((response, url)), |state| async move {
        let (mut response, url) = state?;
        match tokio::time::timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(bytes))) => Some((Ok(bytes), Some((response, url)))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some((Err(unsent(&url, &error)), None)),
            Err(_) => Some((Err(silent(&url)), None)),
        }
    })
    .boxed()
}

/// All of it, if it is not too much.
async fn gather(mut body: Body, most: usize) -> Result<Bytes, Trouble> {
    let mut whole = BytesMut::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        if whole.len() + bytes.len() > most {
            return Err(unreadable(format!("the control host answered more than {most} bytes")));
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// What an answer says that is none of success.
async fn refused(url: &Url, response: Response) -> Trouble {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let problem = header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROBLEM_MEDIA_TYPE));
    let later = header(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let sort = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Sort::Later(later),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Sort::Lost,
        _ => Sort::Final,
    };
    let told = if problem { gather(body(response), MOST_PROBLEM).await.ok() } else { None };
    let told = told.and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok());
    let mut error = match told {
        // The status of the answer is what counts, if the document has none.
        Some(problem) => ApiError::from(Problem { status: status.as_u16(), ..problem }),
        None => {
            let message = format!("{url} answered {status}, and not as a control host does");
            let kind = ErrorKind::of_status(status.as_u16());
            ApiError::new(kind, message).hint("see whether a control host is there, and what stands before it")
        }
    };
    if error.kind == ErrorKind::Unauthorized {
        error.message = format!("the control host at {} refused the token: {}", origin(url), error.message);
        // What the control host says is for those who write HTTP by hand.
        let hint = "the token may have ended or been revoked; an admin makes another with `pigeon token create`, and \
                    whoever has the state folder with `pigeon serve --new-admin-token`, or by `pigeon up`";
        error.hint = Some(hint.to_owned());
    }
    Trouble { error, sort }
}

/// A request that could not be made, or whose answer did not come back.
pub(super) fn unsent(url: &Url, error: &reqwest::Error) -> Trouble {
    let at = origin(url);
    let unreachable = |what: &str| ApiError::new(ErrorKind::Unreachable, format!("{what} {at}"));
    let told = |sort, error| Trouble { error, sort };
    if let Some(tls) = cause::<rustls::Error>(error) {
        return told(Sort::Final, distrusted(&at, tls));
    }
    let words = innermost(error);
    if error.is_connect() {
        let error = unreachable("cannot reach the control host at").caused_by(words);
        return told(Sort::Unsent, error.hint("see whether it runs, and whether that is its address"));
    }
    let hint = match url.scheme() {
        // What speaks TLS hangs up on what does not.
        "http" => "if it goes on: see whether it is reached over https",
        _ => "see whether it still runs; what was asked may or may not have been done",
    };
    told(Sort::Lost, unreachable("the connection was lost to the control host at").caused_by(words).hint(hint))
}

/// A stream that was to go on was ended.
pub(super) fn lost(url: &Url) -> Trouble {
    let message = format!("the connection was lost to the control host at {}", origin(url));
    let error = ApiError::new(ErrorKind::Unreachable, message).hint("see whether it still runs");
    Trouble { error, sort: Sort::Lost }
}

/// Nothing came for too long.
pub(super) fn silent(url: &Url) -> Trouble {
    let message = format!("the control host at {} does not answer", origin(url));
    let error = ApiError::new(ErrorKind::Unreachable, message)
        .hint("see whether it still runs; what was asked may or may not have been done");
    Trouble { error, sort: Sort::Lost }
}

/// TLS found something amiss.
fn distrusted(at: &str, error: &rustls::Error) -> ApiError {
    let not_pinned = match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref::<NotPinned>(),
        _ => None,
    };
    let message = format!("the server at {at} is not the control host that is expected");
    let refused = |hint: &str| ApiError::new(ErrorKind::Unreachable, message.clone()).hint(hint);
    match (not_pinned, error) {
        (Some(not_pinned), _) => refused(
            "if its CA was made anew, compare the fingerprint with `ca.crt` there and add the context again; \
             if not, somebody stands between",
        )
        .caused_by(not_pinned.clone()),
        (_, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            refused("name its CA: `pigeon context add` takes --fingerprint or --ca-file").caused_by(error.clone())
        }
        (
            _,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ),
        ) => refused("name it as its certificate does, or have it serve under this name as well")
            .caused_by(error.clone()),
        (_, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            ApiError::new(ErrorKind::Unreachable, format!("the server at {at} does not speak TLS"))
                .hint("see whether it is reached over http")
        }
        _ => ApiError::new(ErrorKind::Unreachable, format!("TLS with the server at {at} failed"))
            .caused_by(error.clone()),
    }
}

/// Where a URL leads, without what is asked there.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The nearest cause of this type. What lies in an I/O error is no source of it, and may be an I/O error itself.
fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        next = inside.map(|inside| inside as _).or_else(|| error.source());
    }
    None
}

/// The words of the cause behind all others: those between say only who passed it on.
fn innermost(error: &reqwest::Error) -> String {
    let chain = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    chain.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Pieces that follow one another, and whose length is known: a chunk is not copied to be sent.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
