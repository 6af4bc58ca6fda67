//! What stands behind the API.

use std::sync::Arc;

use async_trait::async_trait;
use pigeon_api::Pigeon;

use crate::{App, Metrics, Principal};

/// What the API is served of.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// What does what is asked, in the name of this author. Made for each request: cheap.
    fn client_as(&self, author: &str) -> Arc<dyn Pigeon>;

    /// Who has this token; nobody, if there is no such token. Looks at memory only, and takes as long for a token that is
    /// nearly right as for any other.
    fn principal(&self, secret: &str) -> Option<Principal>;

    /// Whether it can do its work.
    ///
    /// # Errors
    /// Why not, in words; at least one reason.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// How it stands, and what it has counted.
    async fn metrics(&self) -> Metrics;
}

#[async_trait]
impl Backend for App {
    fn client_as(&self, author: &str) -> Arc<dyn Pigeon> {
        App::client_as(self, author)
    }

    fn principal(&self, secret: &str) -> Option<Principal> {
        App::principal(self, secret)
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        App::ready(self)
    }

    async fn metrics(&self) -> Metrics {
        App::metrics(self).await
    }
}
