//! What can be asked for.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::access::{Gate, guard};
use super::queue::{Queue, Refusal};
use super::shared::Shared;
use super::view::QueueView;
use crate::judge::Verdict;

/// A verdict with a reason of a few paragraphs.
const LONGEST_BODY: usize = 16 << 10;
/// Where the page says its token.
const TOKEN_PLACE: &str = "{{token}}";

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// Scripts by name: modules of the page.
const SCRIPTS: [(&str, &str); 4] = [
    ("/page.js", include_str!("page/page.js")),
    ("/stage.js", include_str!("page/stage.js")),
    ("/panels.js", include_str!("page/panels.js")),
    ("/server.js", include_str!("page/server.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const PNG: &str = "image/png";

pub(super) fn app(shared: Arc<Shared>, gate: Gate) -> Router {
    let page = PAGE.replace(TOKEN_PLACE, gate.token());
    let mut app = Router::new()
        .route("/", get(move || async move { typed(HTML, page) }))
        .route("/page.css", get(|| async { typed(CSS, STYLE) }))
        .route("/state", get(state))
        .route("/picture/{video}/{revision}/{kind}", get(picture))
        .route("/verdict", post(verdict).layer(DefaultBodyLimit::max(LONGEST_BODY)));
    for (path, script) in SCRIPTS {
        app = app.route(path, get(move || async move { typed(JAVASCRIPT, script) }));
    }
    app.layer(middleware::from_fn_with_state(Arc::new(gate), guard)).with_state(shared)
}

fn typed(kind: &'static str, body: impl IntoResponse) -> Response {
    ([(CONTENT_TYPE, kind)], body).into_response()
}

fn view(queue: &Queue) -> Response {
    match serde_json::to_vec(&QueueView::from(queue)) {
        Ok(json) => typed(JSON, json),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The queue; nothing if it is still as at `?since=CHANGES`.
async fn state(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let since = query.as_deref().and_then(|query| query.strip_prefix("since="));
    let queue = shared.queue();
    match since.is_some_and(|since| since.parse() == Ok(queue.changes)) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => view(&queue),
    }
}

/// A picture of the candidate that is being judged, `clean` or `input`.
async fn picture(
    State(shared): State<Arc<Shared>>,
    Path((video, revision, kind)): Path<(String, String, String)>,
) -> Response {
    let missing = StatusCode::NOT_FOUND.into_response();
    let (Ok(video), Ok(revision)) = (video.parse(), revision.parse()) else { return missing };
    let queue = shared.queue();
    let Some(shown) = queue.shown(video, revision) else { return missing };
    match kind.as_str() {
        "clean" => typed(PNG, shown.pictures.clean.clone()),
        "input" => typed(PNG, shown.pictures.input.clone()),
        _ => missing,
    }
}

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// Its place in the queue, from 0.
    video: usize,
    /// The candidate that was seen.
    revision: u64,
    verdict: Word,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Accept,
    MoreFrames,
    Reject,
}

/// Answers with the queue once the verdict is on disk. That is waited for in the server's only thread: verdicts come at
/// a person's pace.
async fn verdict(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let decision: Decision = match serde_json::from_slice(&body) {
        Ok(decision) => decision,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let verdict = match decision.verdict {
        Word::Accept => Verdict::Accept,
        Word::MoreFrames => Verdict::MoreFrames,
        Word::Reject => Verdict::Reject { reason: decision.reason },
    };
    let mut queue = shared.queue();
    match queue.decide(decision.video, decision.revision, verdict) {
        Ok(()) => view(&queue),
        Err(Refusal::Stale) => (StatusCode::CONFLICT, "this clean image is judged already\n").into_response(),
        Err(Refusal::NoMoreFrames) => (StatusCode::BAD_REQUEST, "there are no more frames\n").into_response(),
        Err(Refusal::Disk(error)) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the verdict is not kept: {error}{cause}\n")).into_response()
        }
    }
}
