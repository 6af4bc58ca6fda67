//! Ids and digests as text in JSON: whatever can be shown and parsed.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// The same of what may be missing.
pub(crate) mod option {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// Several of them, with commas between them.
pub(crate) mod list {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        serializer.serialize_str(&texts.join(","))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        let texts = text.split(',').filter(|text| !text.is_empty());
        texts.map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// Bytes as base64.
pub(crate) mod base64 {
    use bytes::Bytes;
    use data_encoding::BASE64;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(D::Error::custom)
    }
}

/// The same of what may be missing.
pub(crate) mod base64_option {
    use bytes::Bytes;
    use data_encoding::BASE64;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => super::base64::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(D::Error::custom)).transpose()
    }
}

/// Times as milliseconds, which may have a fraction. What version 0.1 wrote down, seconds and nanoseconds, is read as well.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a time is a number of milliseconds, from 0 on")]
    enum Time {
        Whole(u64),
        Part(f64),
        Old { secs: u64, nanos: u32 },
    }

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match (u64::try_from(time.as_millis()), time.subsec_nanos() % 1_000_000) {
            (Ok(whole), 0) => whole.serialize(serializer),
            _ => (time.as_secs_f64() * 1e3).serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match Time::deserialize(deserializer)? {
            Time::Whole(ms) => Ok(Duration::from_millis(ms)),
            Time::Part(ms) => Duration::try_from_secs_f64(ms / 1e3).map_err(D::Error::custom),
            // Of these the nanoseconds are below a thousand million, or it was not we who wrote them.
            Time::Old { secs, nanos } => {
                Ok(Duration::from_secs(secs).saturating_add(Duration::from_nanos(nanos.into())))
            }
        }
    }
}
