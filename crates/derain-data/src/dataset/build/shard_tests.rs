//! Several at work on one data set.

use std::fs;
use std::thread;

use super::tests::{Bench, options};
use super::*;
use crate::judge::{AcceptAll, AutoJudge, Candidate, Verdict};
use crate::{Error, Shard};

impl Bench {
    fn shard(&self, output: &str, number: usize, count: usize) -> Result<BuildReport, Error> {
        self.build(output, &share(number, count), Resume::Refuse)
    }
}

fn share(number: usize, count: usize) -> BuildOptions {
    BuildOptions { shard: Shard::new(number, count).unwrap(), ..options() }
}

#[test]
fn shards_one_after_the_other_make_one_runs_tree() {
    let bench = Bench::new(4, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let whole = bench.tree("out");
    // More shards than videos, too: some have nothing to do.
    for count in [2, 3, 6] {
        let output = format!("out{count}");
        for number in (1..=count).rev() {
            let report = bench.shard(&output, number, count).unwrap();
            assert!(report.failed.is_empty());
            let is_complete = report.manifest.videos.len() == 4;
            assert_eq!(report.elsewhere.len(), 4 - report.manifest.videos.len(), "{number}/{count}");
            assert_eq!((is_complete, bench.path(&output).join(MANIFEST).exists()), (number == 1, number == 1));
        }
        assert_eq!(bench.tree(&output), whole, "{count} shards");
        // Whoever comes late finds all done, and a whole build goes on as after any other.
        assert!(bench.shard(&output, 2, count).unwrap().elsewhere.is_empty());
        bench.build(&output, &options(), Resume::Continue).unwrap();
        assert_eq!(bench.tree(&output), whole, "{count} shards");
    }
}

#[test]
fn shards_at_once_make_one_runs_tree() {
    let bench = Bench::new(4, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let whole = bench.tree("out");
    for round in 0..10 {
        let output = format!("out{round}");
        let reports: Vec<BuildReport> = thread::scope(|scope| {
            let shards: Vec<_> = (1..=3)
                .map(|number| {
                    let (bench, output) = (&bench, &output);
                    scope.spawn(move || bench.shard(output, number, 3).unwrap())
                })
                .collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).collect()
        });
        assert!(reports.iter().any(|report| report.elsewhere.is_empty()), "the last one sees that it is");
        assert_eq!(bench.tree(&output), whole);
    }
}

/// Accepts, and starts another build first.
struct Meanwhile<'a>(&'a mut dyn FnMut());

impl Judge for Meanwhile<'_> {
    fn name(&self) -> &str {
        AcceptAll.name()
    }

    fn judge(&mut self, _: &Candidate<'_>) -> Result<Verdict, Error> {
        (self.0)();
        Ok(Verdict::Accept)
    }
}

fn build_meanwhile(bench: &Bench, output: &str, options: &BuildOptions, meanwhile: &mut dyn FnMut()) -> BuildReport {
    let (input, output) = (bench.path("in"), bench.path(output));
    build_dataset(&input, &output, options, Resume::Refuse, &mut Meanwhile(meanwhile), &mut |_| {}).unwrap()
}

#[test]
fn a_shard_that_was_started_twice_leaves_videos_to_the_other() {
    let bench = Bench::new(2, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    let mut others = 0;
    let report = build_meanwhile(&bench, "out2", &share(1, 2), &mut || {
        let other = bench.shard("out2", 1, 2).unwrap();
        assert_eq!((other.elsewhere.len(), other.manifest.videos.len()), (2, 0));
        // The other share is free.
        let other = bench.shard("out2", 2, 2).unwrap();
        assert_eq!((other.elsewhere.len(), other.manifest.videos.len()), (1, 1));
        others += 1;
    });
    assert_eq!((others, report.elsewhere.len()), (1, 0));
    assert_eq!(bench.tree("out2"), bench.tree("out"));
}

#[test]
fn shards_and_whole_builds_keep_each_other_out() {
    let bench = Bench::new(2, 8);
    let mut refused = 0;
    build_meanwhile(&bench, "out", &share(1, 2), &mut || {
        let error = bench.build("out", &options(), Resume::Continue).unwrap_err().to_string();
        assert!(error.contains("another process is building"), "{error}");
        refused += 1;
    });
    build_meanwhile(&bench, "whole", &options(), &mut || {
        let error = bench.shard("whole", 2, 2).unwrap_err().to_string();
        assert!(error.contains("another process is building"), "{error}");
        refused += 1;
    });
    assert_eq!(refused, 3);
}

#[test]
fn after_a_failure_a_whole_build_ends_what_shards_began() {
    let bench = Bench::new(3, 8);
    fs::write(bench.path("in/v 0/2.png"), "no picture").unwrap();
    assert_eq!(bench.build("out", &options(), Resume::Refuse).unwrap().failed.len(), 1);
    let first = bench.shard("out2", 1, 3).unwrap();
    assert_eq!((first.failed.len(), first.elsewhere.len()), (1, 2));
    for number in [2, 3] {
        let shard = bench.shard("out2", number, 3).unwrap();
        assert!(shard.failed.is_empty() && shard.elsewhere.contains(&"v_0".to_owned()));
    }
    assert!(!bench.path("out2").join(MANIFEST).exists());
    let report = bench.build("out2", &options(), Resume::Continue).unwrap();
    assert_eq!((report.failed.len(), report.manifest.unfinished.as_slice()), (1, ["v_0".to_owned()].as_slice()));
    assert_eq!(bench.tree("out2"), bench.tree("out"));
}

#[test]
fn only_the_last_shard_clears_away_what_others_may_be_writing() {
    let bench = Bench::new(2, 8);
    bench.build("out", &options(), Resume::Refuse).unwrap();
    bench.shard("out2", 1, 2).unwrap();
    // Another machine's, just made, so that no age tells.
    let part = bench.path("out2/train/rain/.derain-tmp-0123abcd-1-2-3-4");
    fs::write(&part, "part").unwrap();
    build_meanwhile(&bench, "out2", &share(2, 2), &mut || assert!(part.exists()));
    assert_eq!(bench.tree("out2"), bench.tree("out"));
}

#[test]
fn shards_with_other_options_are_refused() {
    let bench = Bench::new(2, 8);
    bench.shard("out", 1, 2).unwrap();
    let other = BuildOptions { patch: 7, ..share(2, 2) };
    let error = bench.build("out", &other, Resume::Continue).unwrap_err().to_string();
    assert!(error.contains("patch was 6 and is 7 now"), "{error}");
    // A judge who is forgotten would be nobody, who accepts everything.
    let (input, output) = (bench.path("in"), bench.path("out"));
    let judge = &mut AutoJudge::default();
    let error = build_dataset(input, output, &share(2, 2), Resume::Refuse, judge, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("the judge was none and is auto now"), "{error}");
}

#[test]
fn claims_can_be_made_while_others_remove_them() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::new(folder.path());
    thread::scope(|scope| {
        for shard in ["a", "b"] {
            let tree = &tree;
            scope.spawn(move || {
                for _ in 0..2000 {
                    drop(tree.claim(shard).unwrap());
                    tree.remove_claims().unwrap();
                }
            });
        }
    });
}
