//! A job as clients of the REST API submit it: everything but the plugin may be left out.

use std::{collections::BTreeMap, fmt};

use pigeon_protocol::id::Digest;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Error as _, SeqAccess, Visitor},
};
use utoipa::ToSchema;

use crate::{Clock, JobRequest, Limits, RetryPolicy, Work};

/// A job to be opened, perhaps with its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The plugin: `name`, `name@version` or `sha256:...`. The job stays with the component that this names now.
    pub plugin: String,
    /// The items, if they are few. Then the job is sealed as well.
    #[serde(default, deserialize_with = "few", skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 65536)]
    pub items: Option<Vec<InlineItem>>,
    /// Options for the plugin.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// How many runs, and where; each item once, by whichever agents there are, if not said.
    #[serde(default)]
    pub work: Option<Work>,
    /// Bounds of each run.
    #[serde(default)]
    pub limits: Limits,
    /// What is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// The higher, the sooner.
    #[serde(default)]
    pub priority: i32,
    /// Runs of this job that may be under way at once.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_parallel: Option<u32>,
    /// Labels that an agent must have to work for it: each as it is (`gpu`, `arch=x86_64`), or the key of one that has a
    /// value (`arch`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub require: Vec<String>,
    /// Labels that an agent had better have: of those with room, who has more of them gets its work first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub prefer: Vec<String>,
    /// Lease nothing more after the first run that is invalid or failed.
    #[serde(default)]
    pub fail_fast: bool,
    /// Seed of the guests' randomness; drawn if not said.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The guests' clock.
    #[serde(default)]
    pub clock: Clock,
    /// What the job grants of the plugin's powers: of those that it asks for, and only by an operator.
    #[serde(default)]
    pub grants: Vec<String>,
    /// A key that makes the submission safe to repeat: the job that it opened is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub key: Option<String>,
    /// The client's own notes on where the items come from.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub sources: serde_json::Value,
}

impl Submission {
    /// Longest key, in bytes.
    pub const LONGEST_KEY: usize = 255;

    /// Each item once, by whichever agents there are.
    pub const USUAL_WORK: Work = Work::Many { iterations: 1, workers: None };

    /// The job that it asks for, now that it is known which component its plugin names. `seed` is what was drawn; it
    /// counts where none is said. Its items are left out.
    pub fn request(self, plugin: Digest, seed: u64) -> JobRequest {
        JobRequest {
            plugin,
            options: self.options,
            work: self.work.unwrap_or(Self::USUAL_WORK),
            limits: self.limits,
            retry: self.retry,
            priority: self.priority,
            max_parallel: self.max_parallel,
            require: self.require,
            prefer: self.prefer,
            fail_fast: self.fail_fast,
            seed: self.seed.unwrap_or(seed),
            clock: self.clock,
            grants: self.grants,
            sources: self.sources,
            key: self.key,
        }
    }
}

impl From<JobRequest> for Submission {
    fn from(request: JobRequest) -> Self {
        Self {
            plugin: request.plugin.to_string(),
            items: None,
            options: request.options,
            work: Some(request.work),
            limits: request.limits,
            retry: request.retry,
            priority: request.priority,
            max_parallel: request.max_parallel,
            require: request.require,
            prefer: request.prefer,
            fail_fast: request.fail_fast,
            seed: Some(request.seed),
            clock: request.clock,
            grants: request.grants,
            key: request.key,
            sources: request.sources,
        }
    }
}

/// An item within a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "an item is a string, or an object with `id` and `body`, both strings"
)]
pub enum InlineItem {
    /// Its text; its id is its number, from 1.
    Text(String),
    /// Its text, with an id.
    Named {
        /// Unique in the job.
        id: String,
        /// Its text.
        body: String,
    },
}

impl InlineItem {
    /// Most items of a submission; more are appended to its job.
    pub const MOST: usize = 1 << 16;

    /// What a submission with more is told.
    pub const TOO_MANY: &str = "a submission has at most 65536 items";
}

/// Items that are not too many: a few bytes of a request become many more of memory.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<InlineItem>>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<InlineItem>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<InlineItem>, A::Error> {
            let mut few = Vec::new();
            while let Some(item) = items.next_element()? {
                if few.len() >= InlineItem::MOST {
                    return Err(A::Error::custom(InlineItem::TOO_MANY));
                }
                few.push(item);
            }
            Ok(few)
        }
    }

    struct Perhaps;

    impl<'de> Visitor<'de> for Perhaps {
        type Value = Option<Vec<InlineItem>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of items, or nothing")
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_seq(Few).map(Some)
        }
    }

    deserializer.deserialize_option(Perhaps)
}
