//! Backups.

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};

use super::{
    caller::{Admin, Caller},
    extract::{Nothing, Query},
    failure::Answer,
};

/// All that is kept, as a tar archive that `pigeon restore` understands, consistent as of one moment. The control host goes
/// on meanwhile. An archive that breaks off is none: the connection ends without its end.
#[utoipa::path(
    get,
    path = "/api/v1/backup",
    tag = "host",
    responses((status = 200, description = "The archive", body = Vec<u8>, content_type = "application/x-tar")),
    security(("bearer" = ["admin"]))
)]
pub(super) async fn take_backup(caller: Caller<Admin>, _: Query<Nothing>) -> Answer<Response> {
    let archive = caller.pigeon().backup().await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"pigeon.tar\"")),
    ];
    Ok((headers, Body::from_stream(archive)).into_response())
}
