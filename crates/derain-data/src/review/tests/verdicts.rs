//! Candidates and verdicts, as a browser sees and says them.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use super::super::{ReviewOptions, ReviewServer};
use super::client::{PATIENCE, get, judge, post, say, start, wait_for};
use crate::Error;
use crate::clean::{CleanImage, CleanOptions};
use crate::dataset::{BuildEvent, DatasetVideo, RecordedVerdict, Split};
use crate::judge::{Candidate, Density, Judge, Verdict};

#[test]
fn a_candidate_is_shown_and_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let judge = judge(server.judge().with_density(Density::Dense), "street", 200, Some(210), (5, 3), 77);
    let state = wait_for(&server, 1);
    let video = &state["videos"][0];
    assert_eq!((&video["name"], &video["frames"]), (&json!("street"), &json!(200)));
    let facts = &video["candidate"];
    assert_eq!(facts["revision"], 1);
    assert_eq!((&facts["percentile"], &facts["next"], &facts["density"]), (&json!(37), &json!(210), &json!("dense")));
    assert_eq!((&facts["width"], &facts["height"], &facts["votes"][37]), (&json!(5), &json!(3), &json!(9)));
    let clean = get(&server, "/picture/0/1/clean");
    assert!(clean.has("content-type: image/png") && clean.has("cache-control: no-store"));
    let clean = image::load_from_memory(&clean.body).unwrap().into_rgb8();
    assert_eq!(clean, RgbImage::from_pixel(5, 3, Rgb([77; 3])));
    let input = image::load_from_memory(&get(&server, "/picture/0/1/input").body).unwrap().into_rgb8();
    assert_eq!(input, RgbImage::new(5, 3));

    let since = format!("/state?since={}", state["changes"]);
    assert_eq!(get(&server, &since).status, 204);
    let answer = say(&server, 0, 1, "accept");
    assert_eq!((answer.status, &answer.json()["videos"][0]["stage"]), (200, &json!("accepted")));
    assert_eq!(judge.join().unwrap().unwrap(), Verdict::Accept);
    assert_eq!(get(&server, &since).status, 200);
    assert_eq!(get(&server, "/picture/0/1/clean").status, 404, "memory is given back");
}

#[test]
fn more_frames_and_a_rejection_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let first = judge(server.judge(), "street", 20, Some(30), (1, 1), 1);
    wait_for(&server, 1);
    let answer = say(&server, 0, 1, "more_frames").json();
    assert_eq!(
        answer["videos"][0],
        json!({"name": "street", "stage": "computing", "frames": 30, "reason": null, "candidate": null})
    );
    assert_eq!(first.join().unwrap().unwrap(), Verdict::MoreFrames);

    let last = judge(server.judge(), "street", 30, None, (1, 1), 2);
    assert_eq!(wait_for(&server, 1)["videos"][0]["candidate"]["revision"], 2);
    assert_eq!(say(&server, 0, 2, "more_frames").status, 400, "there are no more");
    let reason = "ein \"Auto\" \u{1f697}\n";
    let body = json!({"video": 0, "revision": 2, "verdict": "reject", "reason": reason});
    assert_eq!(post(&server, &body).json()["videos"][0]["reason"], reason);
    assert_eq!(last.join().unwrap().unwrap(), Verdict::Reject { reason: reason.into() });
}

#[test]
fn a_verdict_on_what_is_no_longer_there_is_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    assert_eq!(say(&server, 0, 1, "accept").status, 409);
    let first = judge(server.judge(), "street", 20, Some(30), (1, 1), 1);
    wait_for(&server, 1);
    assert_eq!(say(&server, 0, 2, "accept").status, 409);
    assert_eq!(say(&server, 1, 1, "accept").status, 409);
    assert_eq!(say(&server, 0, 1, "more_frames").status, 200);
    first.join().unwrap().unwrap();
    // Another tab still shows the first candidate.
    let second = judge(server.judge(), "street", 30, None, (1, 1), 2);
    wait_for(&server, 1);
    assert_eq!(say(&server, 0, 1, "accept").status, 409);
    assert_eq!(say(&server, 0, 2, "accept").status, 200);
    assert_eq!(say(&server, 0, 2, "reject").status, 409);
    assert_eq!(second.join().unwrap().unwrap(), Verdict::Accept);
    let log = fs::read_to_string(folder.path().join("verdicts.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2);
}

#[test]
fn many_wait_at_once_in_order_of_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for name in ["a", "b", "c"] {
        server.expect(name);
    }
    server.computing("b");
    server.failed("c", "it moves");
    let stages = |state: &Value| -> Vec<String> {
        state["videos"].as_array().unwrap().iter().map(|video| video["stage"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stages(&get(&server, "/state").json()), ["waiting", "computing", "failed"]);
    let b = judge(server.judge(), "b", 20, Some(30), (2, 2), 1);
    wait_for(&server, 1);
    let a = judge(server.judge(), "a", 20, Some(30), (2, 2), 1);
    wait_for(&server, 2);
    // The same name a second time does not push the first one out.
    let twin = judge(server.judge(), "a", 30, Some(50), (2, 2), 1);
    let state = wait_for(&server, 3);
    server.computing("a");
    let revisions: Vec<_> = state["videos"].as_array().unwrap().iter().map(|v| &v["candidate"]["revision"]).collect();
    assert_eq!(revisions, [&json!(2), &json!(1), &Value::Null, &json!(3)]);
    for (video, revision, verdict) in [(3, 3, "more_frames"), (0, 2, "accept"), (1, 1, "reject")] {
        assert_eq!(say(&server, video, revision, verdict).status, 200);
    }
    let verdicts = [a, b, twin].map(|judge| judge.join().unwrap().unwrap());
    assert_eq!(verdicts, [Verdict::Accept, Verdict::Reject { reason: String::new() }, Verdict::MoreFrames]);
}

#[test]
fn a_video_that_failed_says_why_to_the_last_cause() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let source = std::io::Error::other("the disk is gone");
    let error = Error::Io { action: "read", path: "street.mp4".into(), source };
    server.observe(&BuildEvent::Failed { video: "street", error: &error });
    let video = &get(&server, "/state").json()["videos"][0];
    assert_eq!(
        (&video["stage"], &video["reason"]),
        (&json!("failed"), &json!("cannot read street.mp4: the disk is gone"))
    );
}

#[test]
fn nobody_judges_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verdicts.jsonl");
    let server = start(folder.path());
    for (index, (video, verdict)) in [("a", "accept"), ("b", "more_frames"), ("c", "reject")].into_iter().enumerate() {
        let judge = judge(server.judge(), video, 20, Some(30), (3, 2), 5);
        wait_for(&server, 1);
        assert_eq!(say(&server, index, index as u64 + 1, verdict).status, 200);
        judge.join().unwrap().unwrap();
        // On disk although the server is still at work.
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), index + 1);
    }
    drop(server);
    // What a kill in the middle of the next line leaves.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"video\":\"d\",\"frames\":20,\"sha2").unwrap();
    drop(file);

    let server = start(folder.path());
    let again = |video, frames, next, level| judge(server.judge(), video, frames, next, (3, 2), level);
    assert_eq!(again("a", 20, Some(30), 5).join().unwrap().unwrap(), Verdict::Accept);
    assert_eq!(again("b", 20, Some(30), 5).join().unwrap().unwrap(), Verdict::MoreFrames);
    assert_eq!(again("c", 20, Some(30), 5).join().unwrap().unwrap(), Verdict::Reject { reason: String::new() });
    let state = get(&server, "/state").json();
    let stages: Vec<_> = state["videos"].as_array().unwrap().iter().map(|video| &video["stage"]).collect();
    assert_eq!(stages, ["accepted", "computing", "rejected"]);
    // Other frames, another picture or name, and a wish for more that cannot be had are asked anew.
    let asked = [again("a", 30, None, 5), again("b", 20, None, 5), again("c", 20, None, 6), again("d", 20, None, 5)];
    wait_for(&server, asked.len());
    drop(server);
    for judge in asked {
        let error = judge.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::ReviewEnded { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn shutting_down_ends_the_waiting_and_the_connections() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let late = server.judge();
    let waiting = [judge(late.clone(), "a", 20, None, (1, 1), 1), judge(late.clone(), "b", 20, None, (1, 1), 1)];
    wait_for(&server, 2);
    // Half a request must not keep the server.
    let mut half = TcpStream::connect(server.address()).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let address = server.address();
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        server.shutdown();
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap();
    for judge in waiting {
        assert!(judge.join().unwrap().unwrap_err().to_string().contains("start again to go on"));
    }
    assert!(judge(late, "c", 20, None, (1, 1), 1).join().unwrap().is_err());
    assert!(TcpStream::connect(address).is_err());
    let _ = start(folder.path());
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut judge = server.judge();
    let mut sizes = |image: (u32, u32), input: (u32, u32)| {
        let (image, input) = (RgbImage::new(image.0, image.1), RgbImage::new(input.0, input.1));
        let votes = &[0; 101];
        let clip = CleanImage::new(CleanOptions::default());
        let (image, input, clip) = (&image, &input, &clip);
        let candidate = Candidate { video: "v", frames: 3, image, percentile: 0, votes, input, clip, next: None };
        judge.judge(&candidate).unwrap_err()
    };
    assert!(matches!(sizes((0, 4), (0, 4)), Error::NoPixels { width: 0, height: 4 }));
    assert!(matches!(sizes((3, 4), (4, 3)), Error::SizesDiffer { .. }));
}

#[test]
fn an_address_in_use_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let options = ReviewOptions { address: server.address(), ..ReviewOptions::default() };
    let error = ReviewServer::start(folder.path().join("other"), &options).unwrap_err();
    assert!(matches!(error, Error::ReviewServer { .. }) && error.to_string().contains("127.0.0.1"), "{error}");
    let error = ReviewServer::start(folder.path().join("verdicts.jsonl"), &ReviewOptions::default()).unwrap_err();
    assert!(matches!(error, Error::ReviewInUse { .. }), "{error}");
}

#[test]
fn what_an_earlier_run_has_finished_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let record = |name: &str, verdict, reason| DatasetVideo {
        name: name.into(),
        sha256: String::new(),
        split: Split::Train,
        size: (5, 3),
        frames: 30,
        percentile: 37,
        judge: "web".into(),
        verdict,
        reason,
        pairs: Some(Vec::new()),
    };
    // As a resumed build tells of it: begun and finished at once, without a verdict.
    for video in [
        record("street", RecordedVerdict::Accepted, None),
        record("square", RecordedVerdict::Rejected, Some("a tram".into())),
    ] {
        server.observe(&BuildEvent::Started { video: &video.name, done: 0, of: 2 });
        server.observe(&BuildEvent::Finished { video: &video });
    }
    let videos = &get(&server, "/state").json()["videos"];
    assert_eq!((&videos[0]["stage"], &videos[0]["frames"]), (&json!("accepted"), &json!(30)));
    assert_eq!((&videos[1]["stage"], &videos[1]["reason"]), (&json!("rejected"), &json!("a tram")));
}
