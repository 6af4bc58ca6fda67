//! Who asks: the bearer of a token, and whether it may.

use std::{marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use pigeon_api::{ApiError, ErrorKind, Pigeon, Role};
use pigeon_protocol::id::JobId;
use tokio::time::sleep;

use super::{
    failure::{Answer, Failure},
    shared::Rest,
};
use crate::Principal;

/// How often it is asked whether a token is good, as long as a stream goes on.
const LOOK: Duration = Duration::from_secs(5);

/// What a handler asks of its caller, as a type.
pub(super) trait Needs: Send + Sync {
    /// The least role that may do it.
    const ROLE: Role;
}

macro_rules! needs {
    ($($name:ident),*) => {$(
        /// At least this role.
        #[derive(Debug, Clone, Copy)]
        pub(super) enum $name {}

        impl Needs for $name {
            const ROLE: Role = Role::$name;
        }
    )*};
}

needs!(Viewer, Submitter, Publisher, Operator, Admin);

/// The bearer of a token with at least the role `N`. Stands first among a handler's arguments: who may not ask is not
/// told what is wrong with the question.
pub(super) struct Caller<N> {
    pub(super) principal: Principal,
    headers: HeaderMap,
    rest: Rest,
    needs: PhantomData<N>,
}

impl<N> Caller<N> {
    /// What does what the caller asks, in its name.
    pub(super) fn pigeon(&self) -> Arc<dyn Pigeon> {
        self.rest.backend.client_as(&self.principal.name)
    }

    /// Until the token is good for this no longer: it was revoked, or its time is over. Then a stream ends within seconds.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + use<N>
    where
        N: Needs,
    {
        let (rest, headers, name) = (self.rest.clone(), self.headers.clone(), self.principal.name.clone());
        let every = rest.limits.keep_alive.min(LOOK);
        async move {
            let good = |now: Principal| now.name == name && now.role >= N::ROLE;
            while authenticate(&rest, &headers).is_ok_and(good) {
                sleep(every).await;
            }
        }
    }

    /// Until what goes on for this caller must end: its token has, or the control host goes down.
    pub(super) fn over(&self) -> impl Future<Output = ()> + Send + use<N>
    where
        N: Needs,
    {
        let (ended, stop) = (self.ended(), self.rest.stop.clone());
        async move {
            tokio::select! {
                () = ended => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Whether the caller may control this job: its own, or any as an operator.
    pub(super) async fn may_control(&self, job: JobId) -> Answer<()> {
        if self.principal.role >= Role::Operator {
            return Ok(());
        }
        if self.rest.authors.of(&*self.pigeon(), job).await?.as_ref() == self.principal.name {
            return Ok(());
        }
        let message = format!("job {job} was submitted by somebody else");
        Err(ApiError::new(ErrorKind::Forbidden, message)
            .hint("its submitter may control it, and tokens with the role operator")
            .into())
    }
}

impl<N> Deref for Caller<N> {
    type Target = Rest;

    fn deref(&self) -> &Rest {
        &self.rest
    }
}

impl<N: Needs> FromRequestParts<Rest> for Caller<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Failure> {
        let principal = authenticate(rest, &parts.headers)?;
        tracing::Span::current().record("by", principal.name.as_str());
        if principal.role < N::ROLE {
            let message =
                format!("token {:?} has the role {}, and this needs {}", principal.name, principal.role, N::ROLE);
            return Err(ApiError::new(ErrorKind::Forbidden, message).into());
        }
        let headers =
            parts.headers.get(AUTHORIZATION).map(|token| (AUTHORIZATION, token.clone())).into_iter().collect();
        Ok(Self { principal, headers, rest: rest.clone(), needs: PhantomData })
    }
}

/// The bearer of the token in these headers.
pub(super) fn authenticate(rest: &Rest, headers: &HeaderMap) -> Answer<Principal> {
    let refused = |message: &str| {
        let error = ApiError::new(ErrorKind::Unauthorized, message);
        Failure::from(error.hint("send a token of this control host as `Authorization: Bearer TOKEN`"))
    };
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = match (sent.next(), sent.next()) {
        (Some(header), None) => header,
        (None, _) => return Err(refused("there is no token")),
        (Some(_), Some(_)) => return Err(refused("there is more than one token")),
    };
    let text = header.to_str().map_err(|_| refused("the token cannot be read"))?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(|| refused("the token cannot be read"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("only bearer tokens are known"));
    }
    rest.backend.principal(secret.trim()).ok_or_else(|| refused("the token is not good, or not any more"))
}
