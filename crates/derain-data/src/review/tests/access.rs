//! Requests that nobody should send.

use std::fs;

use serde_json::json;

use super::super::{ReviewOptions, ReviewServer};
use super::client::{ask, get, header, host, judge, post, start, token, wait_for};

#[test]
fn who_has_no_token_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let waiting = judge(server.judge(), "street", 20, None, (1, 1), 1);
    wait_for(&server, 1);
    let (good, port) = (token(&server), server.address().port());
    let mut wrong = good.to_owned();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let longer = format!("{good}0");
    for bad in [&wrong, &longer, &good[1..], ""] {
        for path in ["/", "/state", "/page.js", "/picture/0/1/clean", "/nothing"] {
            for headers in [
                vec![],
                vec![format!("X-Review-Token: {bad}")],
                vec![format!("Cookie: review-{port}={bad}")],
                vec![format!("Cookie: review-1={good}")],
            ] {
                let headers = [vec![host(&server)], headers].concat();
                let answer = ask(&server, &format!("GET {path}?token={bad}"), &headers, "");
                assert_eq!(answer.status, 403, "{path} {headers:?}");
                assert!(!answer.has("set-cookie"));
            }
        }
    }
    // The token in the address opens the page and nothing else; a change wants it in a header.
    assert_eq!(ask(&server, &format!("GET /state?token={good}"), &[host(&server)], "").status, 403);
    let body = json!({"video": 0, "revision": 1, "verdict": "accept"}).to_string();
    let cookie = format!("Cookie: review-{port}={good}");
    for line in ["POST /verdict".to_owned(), format!("POST /verdict?token={good}"), format!("POST /?token={good}")] {
        assert_eq!(ask(&server, &line, &[host(&server), cookie.clone()], &body).status, 403);
    }
    assert_eq!(
        ask(&server, "GET /state", &[host(&server), format!("Cookie: a=b; review-{port}={good}")], "").status,
        200
    );
    server.shutdown();
    assert!(waiting.join().unwrap().is_err());
}

#[test]
fn the_page_brings_its_cookie_and_its_policy() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let path = server.url().split_once(&server.address().to_string()).unwrap().1;
    let page = ask(&server, &format!("GET {path}"), &[host(&server)], "");
    assert_eq!(page.status, 200);
    let cookie = format!("set-cookie: review-{}={}; ", server.address().port(), token(&server));
    assert!(page.has(&cookie) && page.has("httponly; samesite=strict"), "{}", page.head);
    for wanted in
        ["content-security-policy: default-src 'none';", "cache-control: no-store", "x-content-type-options: nosniff"]
    {
        assert!(page.has(wanted), "{}", page.head);
    }
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains(&format!("content=\"{}\"", token(&server))) && !html.contains("{{"));
    // Everything that the page and its modules name is there, and nothing lies elsewhere.
    for path in ["/page.css", "/page.js", "/stage.js", "/panels.js", "/server.js"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 200, "{path}");
        let text = String::from_utf8(answer.body).unwrap().replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http") || path == "/page.css" && !text.contains("url("), "{path}");
    }
    assert!(!format!("{server:?}").contains(token(&server)));
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = vec!["Workstation:8080".to_owned()];
    let options = ReviewOptions { hosts, ..ReviewOptions::default() };
    let server = ReviewServer::start(folder.path().join("v"), &options).unwrap();
    let port = server.address().port();
    let status = |headers: &[String]| ask(&server, "GET /state", &[&[header(&server)], headers].concat(), "").status;
    for name in [format!("127.0.0.1:{port}"), format!("LocalHost:{port}"), "workstation:8080".into()] {
        assert_eq!(status(&[format!("Host: {name}")]), 200, "{name}");
        assert_eq!(status(&[host(&server), format!("Origin: http://{name}")]), 200, "{name}");
    }
    for name in
        ["evil.example".into(), format!("evil.example:{port}"), "127.0.0.1".into(), "127.0.0.1:1".into(), String::new()]
    {
        assert_eq!(status(&[format!("Host: {name}")]), 403, "{name}");
        assert_eq!(status(&[host(&server), format!("Origin: http://{name}")]), 403, "{name}");
    }
    for origin in ["null", "https://127.0.0.1", "file://"] {
        assert_eq!(status(&[host(&server), format!("Origin: {origin}")]), 403, "{origin}");
    }
    assert_eq!(status(&[host(&server), format!("Origin: https://127.0.0.1:{port}")]), 403);
    assert_eq!(status(&[host(&server), "Host: evil.example".into()]), 403);
    assert_ne!(status(&[]), 200);
    let absolute = ask(&server, "GET http://evil.example/state", &[host(&server), header(&server)], "");
    assert_eq!(absolute.status, 403);
}

#[test]
fn no_path_leads_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let waiting = judge(server.judge(), "street", 20, None, (1, 1), 1);
    wait_for(&server, 1);
    for path in [
        "/favicon.ico",
        "/verdicts.jsonl",
        "/../verdicts.jsonl",
        "/..",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/picture",
        "/picture/0/1",
        "/picture/0/1/..",
        "/picture/0/1/%2e%2e",
        "/picture/0/1/%2Fetc%2Fpasswd",
        "/picture/0/1/secret",
        "/picture/0/2/clean",
        "/picture/1/1/clean",
        "/picture/-1/1/clean",
        "/picture/0/18446744073709551616/clean",
        "/picture/a/b/clean",
        "/picture/../../etc/passwd",
        "/page/page.html",
    ] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
    assert_eq!(get(&server, "/verdict").status, 405);
    assert_eq!(get(&server, "/picture/0/1/clean").status, 200);
    drop(server);
    assert!(waiting.join().unwrap().is_err());
}

#[test]
fn nonsense_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let waiting = judge(server.judge(), "street", 20, None, (1, 1), 1);
    wait_for(&server, 1);
    for body in [
        json!(null),
        json!({}),
        json!({"video": 0, "revision": 1}),
        json!({"video": 0, "revision": 1, "verdict": "perhaps"}),
        json!({"video": -1, "revision": 1, "verdict": "accept"}),
        json!({"video": 0, "revision": 1, "verdict": "accept", "path": "/etc/passwd"}),
    ] {
        assert_eq!(post(&server, &body).status, 400, "{body}");
    }
    let long = json!({"video": 0, "revision": 1, "verdict": "reject", "reason": "x".repeat(20_000)});
    assert_eq!(post(&server, &long).status, 413);
    assert_eq!(get(&server, "/state").json()["videos"][0]["stage"], "shown");
    drop(server);
    assert!(waiting.join().unwrap().is_err());
    assert_eq!(fs::read(folder.path().join("verdicts.jsonl")).unwrap(), b"");
}
