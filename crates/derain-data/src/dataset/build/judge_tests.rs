//! Who judges, and that what was judged stays so.

use std::fs;

use super::tests::{Bench, options};
use super::*;
use crate::Error;
use crate::judge::{Candidate, Verdict};

/// Rejects one video and leaves before another.
struct Leaves(&'static str, bool);

impl Judge for Leaves {
    fn name(&self) -> &str {
        "leaves"
    }
    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
        match candidate.video == self.0 {
            true if self.1 => Err(Error::NoVerdict { video: candidate.video.into() }),
            true => Ok(Verdict::Accept),
            false => Ok(Verdict::Reject { reason: "a car".into() }),
        }
    }
}

#[test]
fn verdicts_outlive_the_judge_and_rejected_videos_have_no_pairs() {
    let bench = Bench::new(2, 8);
    let build = |judge: &mut Leaves| {
        build_dataset(bench.path("in"), bench.path("out"), &options(), Resume::Continue, judge, &mut |_| {})
    };
    assert!(matches!(build(&mut Leaves("v_1", true)), Err(Error::NoVerdict { .. })));
    // Nobody is asked about the first video again: `Leaves` would accept it now.
    struct Never;
    impl Judge for Never {
        fn name(&self) -> &str {
            "never"
        }
        fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
            assert_eq!(candidate.video, "v_1");
            Ok(Verdict::Accept)
        }
    }
    let go_on = |judge_changed| {
        let options = BuildOptions { judge_changed, ..options() };
        build_dataset(bench.path("in"), bench.path("out"), &options, Resume::Continue, &mut Never, &mut |_| {})
    };
    let error = go_on(false).unwrap_err().to_string();
    assert!(error.contains("the judge was leaves and is never now"), "{error}");
    let report = go_on(true).unwrap();
    assert!(build(&mut Leaves("v_1", true)).unwrap_err().to_string().contains("the judge was never and is leaves now"));
    go_on(false).unwrap();
    let [first, second] = &report.manifest.videos[..] else { panic!("two videos") };
    assert_eq!(
        (first.verdict, first.reason.as_deref(), first.pairs.as_deref()),
        (RecordedVerdict::Rejected, Some("a car"), Some(&[][..]))
    );
    assert_eq!((first.judge.as_str(), second.judge.as_str()), ("leaves", "never"));
    assert!(!bench.path("out/clean/v_0.png").exists() && bench.path("out/clean/v_1.png").exists());
}

#[test]
fn a_plan_that_names_no_judge_is_gone_on_with() {
    let bench = Bench::new(1, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let plan = bench.path("out/build/plan.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap();
    assert_eq!(json.as_object_mut().unwrap().remove("judge").unwrap(), "none");
    fs::write(&plan, json.to_string()).unwrap();
    bench.build("out", &options(), Resume::Continue).unwrap();
}

/// Whoever deletes a video's record has it judged anew; what was cut for the former verdict goes.
#[test]
fn a_video_that_is_judged_anew_loses_its_patches() {
    let bench = Bench::new(3, 8);
    let build = |accepted| {
        let judge = &mut Leaves(accepted, false);
        build_dataset(bench.path("in"), bench.path("out"), &options(), Resume::Continue, judge, &mut |_| {})
    };
    let patches = |video: &str| {
        let names = bench.tree("out").into_keys().filter(|name| name.ends_with(".png") && !name.starts_with("clean/"));
        names.filter(|name| name.contains(&format!("/{video}-"))).count()
    };
    struct All;
    impl Judge for All {
        fn name(&self) -> &str {
            "leaves"
        }
        fn judge(&mut self, _: &Candidate<'_>) -> Result<Verdict, Error> {
            Ok(Verdict::Accept)
        }
    }
    build_dataset(bench.path("in"), bench.path("out"), &options(), Resume::Refuse, &mut All, &mut |_| {}).unwrap();
    assert!(["v_0", "v_1", "v_2"].iter().all(|video| patches(video) > 0));
    let before = patches("v_0");
    for video in ["v_1", "v_2"] {
        fs::remove_file(bench.path("out/build/videos").join(format!("{video}.json"))).unwrap();
    }
    build("none").unwrap();
    assert_eq!(["v_0", "v_1", "v_2"].map(patches), [before, 0, 0]);
}
