//! The loop of candidates and verdicts.

use crate::clean::{CleanImage, CleanOptions, CleanResult};
use crate::frames::FrameSource;
use crate::{Error, Insets};

use super::{Candidate, Judge, Schedule, Verdict};

/// A clean image and what the judge said of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Judged {
    /// The last candidate, whatever the verdict.
    pub clean: CleanResult,
    /// [`Verdict::Accept`] or [`Verdict::Reject`].
    pub verdict: Verdict,
    /// Borders of the clean image that some of its frames did not show ([`FrameSource::unseen`]); [`Insets::crop`] cuts
    /// them off.
    pub unseen: Insets,
}

/// Makes clean images from the frames of `source`, with more frames each time that the judge wants them, until one is
/// accepted or rejected. Frames are read once, as they are needed. Where video or schedule end, [`Candidate::next`] is
/// `None`; if the video could not say that it ends there, the same image is judged again without it. A wish for more
/// frames even then is a rejection.
///
/// Of registered frames ([`Camera::Handheld`](crate::Camera::Handheld)) the image, and what the judge sees, is whole;
/// at its borders some frames had nothing but their repeated edge: [`Judged::unseen`].
///
/// # Errors
/// [`Error::TooFewFrames`] if the video has fewer than [`Schedule::fewest`], [`Error::InvalidOption`] if schedule or options make no
/// sense, and those of the source, the clean image and the judge.
pub fn judged_clean_image(
    source: &mut dyn FrameSource,
    video: &str,
    options: &CleanOptions,
    judge: &mut dyn Judge,
    schedule: &Schedule,
) -> Result<Judged, Error> {
    schedule.check()?;
    options.check()?;
    let mut clean = CleanImage::new(options.clone());
    let too_few = |frames| Error::TooFewFrames { video: video.to_owned(), frames, fewest: schedule.fewest };
    let input = source.next_frame()?.ok_or_else(|| too_few(0))?;
    clean.push(&input)?;
    let (mut wanted, mut asked) = (schedule.first, 0);
    loop {
        while clean.frames() < wanted {
            match source.next_frame()? {
                Some(frame) => clean.push_owned(frame)?,
                None => break,
            }
        }
        if clean.frames() < schedule.fewest {
            return Err(too_few(clean.frames()));
        }
        let mut at_end = clean.frames() < wanted || source.expected() == Some(clean.frames());
        let next = if at_end { None } else { schedule.next(clean.frames(), asked) };
        let result = clean.result()?;
        let candidate = Candidate {
            video,
            frames: result.frames,
            image: &result.image,
            percentile: result.percentile,
            votes: &result.votes,
            input: &input,
            clip: &clean,
            next,
        };
        let mut verdict = judge.judge(&candidate)?;
        if let (Verdict::MoreFrames, Some(next)) = (&verdict, next) {
            if let Some(frame) = source.next_frame()? {
                clean.push_owned(frame)?;
                (wanted, asked) = (next, asked + 1);
                continue;
            }
            // The source ends just here and could not say so: the judge shall choose between what is left, as at any
            // other end.
            at_end = true;
            verdict = judge.judge(&Candidate { next: None, ..candidate })?;
        }
        if verdict == Verdict::MoreFrames {
            let who = if at_end { "the video" } else { "the schedule" };
            let reason = format!("more frames were wanted than the {} that {who} has", result.frames);
            verdict = Verdict::Reject { reason };
        }
        return Ok(Judged { clean: result, verdict, unseen: source.unseen() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{AcceptAll, Density};
    use image::{Rgb, RgbImage};

    /// Frames whose level is their number: how many were read, how many there are, and whether that is known
    /// beforehand.
    struct Counted(usize, usize, bool);

    impl FrameSource for Counted {
        fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
            if self.0 == self.1 {
                return Ok(None);
            }
            self.0 += 1;
            Ok(Some(RgbImage::from_pixel(2, 1, Rgb([self.0 as u8; 3]))))
        }
        fn size(&self) -> (u32, u32) {
            (2, 1)
        }
        fn expected(&self) -> Option<usize> {
            self.2.then_some(self.1)
        }
        fn unseen(&self) -> Insets {
            Insets { left: self.0 as u32, ..Insets::default() }
        }
    }

    /// Says what it is told to and notes what it saw.
    struct Script(Vec<Verdict>, Vec<(usize, Option<usize>)>);

    impl Judge for Script {
        fn name(&self) -> &str {
            "script"
        }
        fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
            assert_eq!(candidate.input.get_pixel(0, 0).0, [1; 3]);
            assert_eq!((candidate.video, candidate.image.dimensions()), ("v", (2, 1)));
            self.1.push((candidate.frames, candidate.next));
            Ok(if self.0.len() > 1 { self.0.remove(0) } else { self.0[0].clone() })
        }
    }

    fn judge(frames: usize, verdicts: Vec<Verdict>, density: Density) -> (Judged, Vec<(usize, Option<usize>)>, usize) {
        let (mut source, mut script) = (Counted(0, frames, false), Script(verdicts, Vec::new()));
        let schedule = Schedule::for_density(density);
        let judged = judged_clean_image(&mut source, "v", &CleanOptions::default(), &mut script, &schedule).unwrap();
        (judged, script.1, source.0)
    }

    #[test]
    fn frames_grow_as_in_the_paper_and_are_read_once() {
        let more = || Verdict::MoreFrames;
        let (judged, seen, read) = judge(900, vec![more(), more(), Verdict::Accept], Density::Sparse);
        assert_eq!(seen, [(20, Some(30)), (30, Some(50)), (50, Some(100))]);
        assert_eq!((judged.verdict, judged.clean.frames, read), (Verdict::Accept, 50, 50));
        assert_eq!(judged.unseen.left, 50, "after the last frame");
        let (judged, seen, read) = judge(900, vec![more()], Density::Dense);
        assert_eq!(seen, [(200, Some(210)), (210, Some(230)), (230, Some(280)), (280, Some(300)), (300, None)]);
        assert_eq!((read, judged.unseen.left), (300, 300));
        let reason = "more frames were wanted than the 300 that the schedule has".to_owned();
        assert_eq!(judged.verdict, Verdict::Reject { reason });
    }

    #[test]
    fn short_videos_are_used_as_they_are() {
        let (judged, seen, _) = judge(7, vec![Verdict::Accept], Density::Normal);
        assert_eq!((seen, judged.clean.frames), (vec![(7, None)], 7));
        // The end of the video is found out only by asking for more: then the judge is asked again.
        for (frames, last) in [(20, 20), (23, 23)] {
            let (judged, seen, _) = judge(frames, vec![Verdict::MoreFrames], Density::Sparse);
            assert_eq!(seen, [(20, Some(30)), (last, None)]);
            let reason = format!("more frames were wanted than the {frames} that the video has");
            assert_eq!(judged.verdict, Verdict::Reject { reason });
        }
        let schedule = Schedule::default();
        for frames in [0, 2] {
            let source = &mut Counted(0, frames, false);
            let error =
                judged_clean_image(source, "v", &CleanOptions::default(), &mut AcceptAll, &schedule).unwrap_err();
            assert_eq!(error.to_string(), format!("v has {frames} frames: a clean image needs at least 3"));
        }
    }

    #[test]
    fn a_wish_that_the_video_cannot_meet_is_no_verdict() {
        let verdicts = vec![Verdict::MoreFrames, Verdict::Accept];
        let (judged, seen, _) = judge(20, verdicts.clone(), Density::Sparse);
        assert_eq!((seen, judged.verdict), (vec![(20, Some(30)), (20, None)], Verdict::Accept));
        assert_eq!(judged.clean.frames, 20);
        // Nor is it offered where the end is known.
        let (mut source, mut script) = (Counted(0, 20, true), Script(verdicts[1..].to_vec(), Vec::new()));
        let schedule = Schedule::for_density(Density::Sparse);
        judged_clean_image(&mut source, "v", &CleanOptions::default(), &mut script, &schedule).unwrap();
        assert_eq!(script.1, [(20, None)]);
    }

    #[test]
    fn options_are_checked_before_a_frame_is_read() {
        let options = CleanOptions { percentile: Some(101), ..CleanOptions::default() };
        let mut source = Counted(0, 5, false);
        let judged = judged_clean_image(&mut source, "v", &options, &mut AcceptAll, &Schedule::fixed(5));
        assert!(matches!(judged, Err(Error::InvalidOption { option: "percentile", .. })) && source.0 == 0);
    }

    #[test]
    fn a_rejection_keeps_its_reason() {
        let (judged, ..) = judge(30, vec![Verdict::Reject { reason: "a car".into() }], Density::Sparse);
        assert_eq!(judged.verdict, Verdict::Reject { reason: "a car".into() });
    }

    #[test]
    fn schedules_are_checked() {
        let paper = Schedule::default();
        assert_eq!((paper.first, Density::Sparse.frames(), Density::Dense.frames()), (100, 20, 200));
        assert!(paper.check().is_ok() && Schedule::fixed(1).check().is_ok());
        for schedule in [
            Schedule { first: 2, ..paper.clone() },
            Schedule { most: 99, ..paper.clone() },
            Schedule { growth: vec![10, 0], ..paper.clone() },
            Schedule { fewest: 0, ..paper },
        ] {
            assert!(schedule.check().is_err(), "{schedule:?}");
        }
        assert!("heavy".parse::<Density>().is_err() && "dense".parse::<Density>().is_ok());
    }
}
