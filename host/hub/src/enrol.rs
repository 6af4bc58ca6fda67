//! Enrolment and renewal: one message each way.

use pigeon_protocol::{
    close,
    enrol::{EnrolReply, EnrolRequest},
    frame,
    id::{AgentId, Digest},
    limits::MAX_NAME,
};
use quinn::SendStream;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    handler::{Certified, NotJoined},
    hub::{PATIENCE, Shared},
    offence::Offence,
    tls,
    transport::{Reader, code},
};

/// Longest request, in bytes: a secret, a name, and a signing request of some hundred bytes.
const MAX_REQUEST: usize = 16 << 10;

/// Serve one request. The permit bounds how many are served at once.
pub(crate) async fn serve(shared: &Shared, connection: &quinn::Connection, permit: OwnedSemaphorePermit) {
    let address = connection.remote_address();
    let served = async {
        let (send, request) = in_time(async {
            let (send, recv) = connection.accept_bi().await.map_err(broken)?;
            let request: Option<EnrolRequest> = Reader::new(recv, MAX_REQUEST).message().await.map_err(broken)?;
            Ok((send, request.ok_or_else(|| broken("nothing was asked"))?))
        })
        .await?;
        // Not broken off where the disk is slow: it might be recorded all the same, and the token's use be lost.
        let answer = judge(shared, connection, &request).await;
        let sent = in_time(reply(send, &answer)).await;
        answer.and(sent)
    };
    let served = served.await;
    connection.close(code(close::DONE), b"");
    drop(permit);
    if let Err((offence, reason)) = served {
        shared.sessions.refused(address, offence, reason);
    }
}

/// One step of an enrolment, which the peer must not draw out.
async fn in_time<T>(step: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = |_| Err((Offence::Slow, "the enrolment took too long".to_owned()));
    timeout(PATIENCE, step).await.unwrap_or_else(late)
}

async fn reply(mut send: SendStream, answer: &Result<EnrolReply, Refusal>) -> Result<(), Refusal> {
    let reply = match answer {
        Ok(reply) => reply.clone(),
        Err((_, reason)) => EnrolReply { refused: reason.clone(), ..EnrolReply::default() },
    };
    let frame = frame::encode(&reply).map_err(broken)?;
    send.write_chunk(frame).await.map_err(broken)?;
    // Cannot fail: it was not finished before.
    let _ = send.finish();
    // Wait until the reply has arrived, or the peer has gone.
    let _ = send.stopped().await;
    Ok(())
}

/// Why somebody gets no certificate: of what kind it is, and in words.
type Refusal = (Offence, String);

fn broken(reason: impl ToString) -> Refusal {
    (Offence::Enrolment, reason.to_string())
}

/// Whoever shows a certificate may renew it, if it is not revoked. Everybody else needs a token. The words of a
/// refusal go to the peer: of a token they tell only whoever has its secret what became of it.
async fn judge(shared: &Shared, connection: &quinn::Connection, request: &EnrolRequest) -> Result<EnrolReply, Refusal> {
    if request.name.is_empty() || request.name.len() > MAX_NAME {
        return Err(broken(format_args!("an agent's name has 1 to {MAX_NAME} bytes")));
    }
    let renewal = tls::peer(connection).filter(|_| request.secret.is_empty());
    let agent = match &renewal {
        Some(peer) => {
            let admitted = shared.handler.0.admit(peer.agent, peer.certificate);
            admitted.map_err(|error| (Offence::RevokedCertificate, error.to_string()))?;
            peer.agent
        }
        None => AgentId::new(),
    };
    // The request is read before the token is used: a broken one must not cost a use.
    let certificate = shared
        .ca
        .agent(agent, &request.csr, shared.config.agent_certificates)
        .map_err(|_| broken("the certificate signing request is not one"))?;
    let certified = Certified {
        agent,
        name: request.name.clone(),
        certificate: Digest::of(&certificate),
        ends_ms: tls::not_after(&certificate).unwrap_or_default().saturating_mul(1000),
    };
    let renewal = renewal.is_some();
    match renewal {
        true => shared.handler.0.renewed(certified).await,
        false => {
            let joined = shared.handler.0.join(Digest::of(&request.secret), certified).await;
            joined.map_err(|error| match error {
                NotJoined::Failed => (Offence::Busy, error.to_string()),
                error => (Offence::Token, error.to_string()),
            })?;
        }
    }
    shared.sessions.enrolled();
    tracing::info!(%agent, name = request.name, renewal, "issued a certificate");
    Ok(EnrolReply {
        refused: String::new(),
        certificate,
        ca: shared.ca.certificate().to_vec(),
        agent: agent.to_bytes().to_vec(),
        trusted_keys: shared.config.trusted_keys.iter().map(|key| key.to_vec()).collect(),
    })
}
