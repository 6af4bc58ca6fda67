//! The API over real HTTP on loopback, in front of a double of the control host.

mod access;
mod document;
mod double;
mod jobs;
mod limits;
mod requests;
mod streams;
mod uploads;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pigeon_api::{Problem, Role};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use self::double::Double;
use super::{RestConfig, RestLimits, Server};

/// A server with the double behind it. Tokens are called like the roles that they have.
struct Api {
    server: Option<Server>,
    double: Arc<Double>,
    http: Client,
    address: SocketAddr,
}

async fn api() -> Api {
    api_with(|_| {}).await
}

async fn api_with(change: impl FnOnce(&mut RestLimits)) -> Api {
    let mut limits = RestLimits::default();
    change(&mut limits);
    let double = Arc::new(Double::default());
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(RestConfig { listen, tls: None, limits }, double.clone()).await.unwrap();
    let address = server.address();
    Api { server: Some(server), double, http: client(), address }
}

fn client() -> Client {
    // What reqwest would speak TLS with is a matter of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
}

impl Api {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path).bearer_auth(Role::Admin)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path).bearer_auth(Role::Admin)
    }

    fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path).bearer_auth(Role::Admin)
    }

    fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path).bearer_auth(Role::Admin)
    }

    /// Open a job as this role's token.
    async fn job_of(&self, role: Role) -> String {
        let body = serde_json::json!({"plugin": "echo"});
        let opened = self.request(Method::POST, "/api/v1/jobs").bearer_auth(role).json(&body).send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::CREATED);
        json(opened).await["id"].as_str().unwrap().to_owned()
    }

    async fn shutdown(&mut self) {
        self.server.take().unwrap().shutdown(Duration::from_secs(10)).await;
    }
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// What the answer says is wrong, which is said as a problem document.
async fn problem(response: Response) -> Problem {
    let status = response.status();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    assert_eq!(media_type, "application/problem+json", "{status}: {text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status.as_u16(), "{problem:?}");
    assert!(!problem.detail.is_empty() && !problem.title.is_empty() && !problem.type_uri.is_empty(), "{problem:?}");
    problem
}
