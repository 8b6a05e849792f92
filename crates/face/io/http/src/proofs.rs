//! What a miner is given to check the pool with (SPEC 8.10).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use bq_crowd::Home;
use bq_views::EvidenceWanted;
use serde::Deserialize;

use crate::{
    asker::Asker,
    error::{ApiError, ApiPath},
    router::App,
};

/// Which part of a proof is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofQuery {
    upto: Option<u64>,
    share: Option<u64>,
    block: Option<String>,
    epoch: Option<u64>,
}

fn bad_proof() -> ApiError {
    let message = "proof/shares?upto=EVENT, proof/share?share=NUMBER, proof/credit?block=ID or proof/owed?epoch=NUMBER";
    ApiError::bad_request("bad_proof", message.to_owned())
}

fn wanted(what: &str, query: ProofQuery) -> Result<EvidenceWanted, ApiError> {
    let ProofQuery { upto, share, block, epoch } = query;
    match (what, upto, share, block, epoch) {
        ("shares", upto, None, None, None) => Ok(EvidenceWanted::Shares(upto)),
        ("share", None, share, None, None) => Ok(EvidenceWanted::Share(share)),
        ("credit", None, None, Some(block), None) => {
            Ok(EvidenceWanted::Credit(block.parse().map_err(|_| bad_proof())?))
        }
        ("owed", None, None, None, epoch) => Ok(EvidenceWanted::Owed(epoch)),
        _ => Err(bad_proof()),
    }
}

/// Those that look through shares, up to `pool.proof_shares_max` of them. The others read what they name, and have places of their own: who proves what he
/// is owed does not wait behind who reads the whole log.
const fn is_dear(wanted: &EvidenceWanted) -> bool {
    match wanted {
        EvidenceWanted::Shares(_) | EvidenceWanted::Share(None) => true,
        EvidenceWanted::Share(Some(_)) | EvidenceWanted::Credit(_) | EvidenceWanted::Owed(_) => false,
    }
}

pub(crate) async fn proof(
    State(app): State<Arc<App>>,
    Extension(Asker(asker)): Extension<Asker>,
    ApiPath((text, what)): ApiPath<(String, String)>,
    query: Result<Query<ProofQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let address = app.address(&text)?;
    let Ok(Query(query)) = query else { return Err(bad_proof()) };
    let wanted = wanted(&what, query)?;
    let places = if is_dear(&wanted) { &app.share_proofs } else { &app.proofs };
    let busy = || ApiError::unavailable("proof_busy", "other proofs are being put together: ask again");
    let place = places.enter(Home::of(asker)).await.ok_or_else(busy)?;
    let proof = app.view_in(place, move |views| views.evidence(&address, &wanted)).await?;
    let Some(bytes) = proof else {
        let message = "there is no such proof: nothing of this address, or no block of the pool names it yet";
        return Err(ApiError::not_found("no_proof", message));
    };
    let name = format!("attachment; filename=\"{what}.bqproof\"");
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, bytes).into_response())
}

pub(crate) async fn liabilities(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let view = app.view(|views| views.liabilities()).await?;
    Ok(Json(view).into_response())
}
