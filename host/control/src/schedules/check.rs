//! Whether a schedule can be kept.

use pigeon_api::{ApiError, ErrorKind, InlineItem, Result, ScheduleSpec};

use crate::submit;

/// Longest name.
const NAME: usize = 63;

/// Most bytes of items: they are kept in memory.
const ITEMS: usize = 8 << 20;

/// Whether a schedule can be kept, as far as it says itself.
///
/// # Errors
/// [`ErrorKind::BadRequest`] and [`ErrorKind::TooLarge`], in words.
pub(crate) fn check(spec: &ScheduleSpec) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = spec.name.bytes().all(|byte| plain(byte) || byte == b'-') && (1..=NAME).contains(&spec.name.len());
    if !fits || spec.name.starts_with('-') || spec.name.ends_with('-') {
        let message = format!("a schedule cannot be named {:?}", spec.name);
        let hint =
            format!("names are lowercase letters, digits and hyphens between them, {NAME} at most: `nightly-json`");
        return Err(bad(message).hint(hint));
    }
    let job = &spec.job;
    if job.key.is_some() {
        return Err(bad("the job of a schedule cannot have a key: each gets one that is made of its time"));
    }
    let items = job.items.as_deref().unwrap_or_default();
    if items.is_empty() {
        return Err(bad("a schedule needs the items of its job"));
    }
    let sizes = items.iter().map(|item| match item {
        InlineItem::Text(body) => body.len(),
        InlineItem::Named { id, body } => id.len() + body.len(),
    });
    let size: usize = sizes.sum();
    if size > ITEMS {
        let message = format!("the items have {size} bytes, and those of a schedule may have {ITEMS}");
        return Err(ApiError::new(ErrorKind::TooLarge, message));
    }
    submit::check(items, job.work)
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut serde_json::Value)) -> ScheduleSpec {
        let mut json = serde_json::json!({
            "name": "nightly-json-2", "when": { "every": { "ms": 60_000 } }, "job": { "plugin": "json", "items": ["{}"] },
        });
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    fn told(change: impl FnOnce(&mut serde_json::Value)) -> String {
        check(&spec(change)).unwrap_err().message
    }

    #[test]
    fn what_cannot_be_kept_is_told_in_words() {
        assert!(check(&spec(|_| {})).is_ok());
        let long = "a".repeat(64);
        for name in ["", "-a", "a-", "Nightly", "a b", "a/b", "ä", &long] {
            assert_eq!(told(|json| json["name"] = name.into()), format!("a schedule cannot be named {name:?}"));
        }
        let none = "a schedule needs the items of its job";
        assert_eq!(told(|json| json["job"]["items"] = serde_json::Value::Null), none);
        assert_eq!(told(|json| json["job"]["items"] = serde_json::json!([])), none);
        assert!(told(|json| json["job"]["key"] = "mine".into()).starts_with("the job of a schedule cannot have a key"));
        let one = serde_json::json!({ "of": "one", "workers": 2, "iterations": 2 });
        let work = |json: &mut serde_json::Value| {
            json["job"]["work"] = one;
            json["job"]["items"] = serde_json::json!(["a", "b"]);
        };
        assert_eq!(told(work), "a job of one item was given 2");
    }

    #[test]
    fn items_are_bounded() {
        let with = |size: usize| spec(|json| json["job"]["items"] = serde_json::json!(["x".repeat(size - 1), "y"]));
        assert!(check(&with(ITEMS)).is_ok());
        let error = check(&with(ITEMS + 1)).unwrap_err();
        assert_eq!(
            (error.kind, error.message),
            (ErrorKind::TooLarge, "the items have 8388609 bytes, and those of a schedule may have 8388608".to_owned(),)
        );
    }
}
