//! Who may ask: the token, and requests that no other site has caused.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Carries the token in requests that change something: a form of another site cannot set it.
pub(super) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-review-token");

/// The port that browsers leave out of `Host`.
const HTTP_PORT: u16 = 80;

/// On every answer, refusals included.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The first address holds the token.
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a request must know.
#[derive(Debug)]
pub(super) struct Gate {
    token: String,
    /// Cookies do not tell ports apart: the name does.
    cookie: String,
    hosts: Vec<String>,
}

impl Gate {
    /// For a page at `address`, at `localhost` with its port, and at `more` hosts.
    pub(super) fn new(token: String, address: SocketAddr, more: &[String]) -> Self {
        let port = address.port();
        let mut hosts = vec![address.to_string(), format!("localhost:{port}")];
        if port == HTTP_PORT {
            hosts.extend([address.ip().to_string(), "localhost".to_owned()]);
        }
        hosts.extend_from_slice(more);
        Self { token, cookie: format!("review-{port}"), hosts }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether the request came to us under our name and, if it says where from, from our page.
    fn is_ours(&self, request: &Request) -> bool {
        let known = |host: &str| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host));
        let all = |name, check: &dyn Fn(&str) -> bool| {
            request.headers().get_all(name).iter().all(|value| value.to_str().is_ok_and(check))
        };
        request.headers().get_all(header::HOST).iter().count() == 1
            && all(header::HOST, &known)
            && all(header::ORIGIN, &|origin| origin.strip_prefix("http://").is_some_and(known))
            && request.uri().authority().is_none_or(|authority| known(authority.as_str()))
    }

    fn has_token(&self, request: &Request) -> bool {
        let headers = request.headers();
        let in_header = headers.get(TOKEN_HEADER).is_some_and(|value| self.is_token(value.as_bytes()));
        match *request.method() {
            Method::GET | Method::HEAD => in_header || self.in_cookie(headers) || self.in_address(request),
            _ => in_header,
        }
    }

    fn in_cookie(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == self.cookie && self.is_token(value.as_bytes()))
    }

    /// Only the page itself has the token in its address; whatever it loads has the cookie.
    fn in_address(&self, request: &Request) -> bool {
        let query = request.uri().query().unwrap_or_default();
        let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("token="));
        request.uri().path() == "/" && values.any(|value| self.is_token(value.as_bytes()))
    }

    /// Compares in a time that does not tell how much is right.
    fn is_token(&self, value: &[u8]) -> bool {
        let token = self.token.as_bytes();
        let difference = token.iter().zip(value).fold(0, |difference, (a, b)| difference | (a ^ b));
        value.len() == token.len() && difference == 0
    }

    fn refusal(&self, request: &Request) -> Option<&'static str> {
        if !self.is_ours(request) {
            return Some("This page is for the machine that it runs on: use the address that the program has given.\n");
        }
        (!self.has_token(request))
            .then_some("The token is missing or of another run: use the whole address that the program has given.\n")
    }
}

/// Lets a request through, or answers 403. The page's answer brings the cookie.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let page = request.uri().path() == "/";
    let mut response = match gate.refusal(&request) {
        Some(words) => (StatusCode::FORBIDDEN, words).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", gate.cookie, gate.token);
    if let (true, StatusCode::OK, Ok(cookie)) = (page, response.status(), HeaderValue::try_from(cookie)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
