//! ETags: who has the answer already does not get it again.

use axum::{
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::failure::{Answer, Failure};

/// The value as JSON with a tag of what it says; or only that the client has it.
pub(super) fn json<T: Serialize>(headers: &HeaderMap, value: &T) -> Answer<Response> {
    let body = serde_json::to_vec(value).map_err(|_| Failure::internal("failed to write down the answer"))?;
    let digest = Sha256::digest(&body);
    let tag = format!("\"{}\"", data_encoding::BASE64URL_NOPAD.encode(digest.get(..18).unwrap_or_default()));
    let tag_header = HeaderValue::try_from(&tag).map_err(|_| Failure::internal("failed to tag the answer"))?;
    // It may be kept, but is asked for again each time.
    let common = [(ETAG, tag_header), (CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if is_had(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// Whether one of the tags that the client has is this one. A weak one (as a proxy makes it that compresses) is as good.
fn is_had(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_does_not_get_it_again() {
        let first = json(&HeaderMap::new(), &[1, 2]).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let asked = |tags: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap())]);
            json(&headers, &[1, 2]).unwrap().status()
        };
        for tags in [&*tag, "*", &format!("\"x\", W/{tag}")] {
            assert_eq!(asked(tags), StatusCode::NOT_MODIFIED, "{tags}");
        }
        for tags in ["\"x\"", "", tag.trim_matches('"')] {
            assert_eq!(asked(tags), StatusCode::OK, "{tags}");
        }
        assert_ne!(json(&HeaderMap::new(), &[2]).unwrap().headers()[ETAG].to_str().unwrap(), tag);
    }
}
