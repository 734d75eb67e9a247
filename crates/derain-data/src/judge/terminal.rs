//! A person at a terminal.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::{Candidate, Judge, Verdict};
use crate::amounts::counted;
use crate::{Error, Picture, save_picture};

/// Shows each candidate as two files and asks for a line: accept, more frames or reject.
///
/// The files are `candidate.png` and `input.png` in a folder of the caller's choice, written anew each time, so that a
/// viewer that watches them can stay open. Nothing is read or written but the given streams and these files.
#[derive(Debug)]
pub struct TerminalJudge<R, W> {
    input: R,
    output: W,
    folder: PathBuf,
}

impl<R: BufRead, W: Write> TerminalJudge<R, W> {
    /// Asks on `output`, listens on `input`, shows pictures in `folder`, which is made when first needed.
    pub fn new(input: R, output: W, folder: impl Into<PathBuf>) -> Self {
        Self { input, output, folder: folder.into() }
    }

    fn show(&self, name: &str, picture: &RgbImage) -> Result<PathBuf, Error> {
        fs::create_dir_all(&self.folder).map_err(Error::io("make", &self.folder))?;
        let path = self.folder.join(name);
        save_picture(&path, &Picture::from(image::DynamicImage::from(picture.clone())))?;
        Ok(path)
    }

    fn ask(&mut self, candidate: &Candidate<'_>, [shown, input]: [&Path; 2]) -> io::Result<Option<Verdict>> {
        let Candidate { video, frames, percentile, next, .. } = candidate;
        let choices = match next {
            Some(next) => format!("[a]ccept, [m]ore frames (up to {next}), [r]eject and why"),
            None => "[a]ccept, [r]eject and why".to_owned(),
        };
        writeln!(self.output, "{video}: clean image of {}, percentile {percentile}", counted(*frames, "frame"))?;
        writeln!(self.output, "  {}\n  first frame: {}", shown.display(), input.display())?;
        loop {
            write!(self.output, "{choices}: ")?;
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            match (word.to_ascii_lowercase().as_str(), next) {
                ("a" | "accept", _) => return Ok(Some(Verdict::Accept)),
                ("m" | "more", Some(_)) => return Ok(Some(Verdict::MoreFrames)),
                ("m" | "more", None) => writeln!(self.output, "there are no more frames")?,
                ("r" | "reject", _) => return Ok(Some(Verdict::Reject { reason: rest.trim().to_owned() })),
                _ => writeln!(self.output, "`{line}` is none of these")?,
            }
        }
    }
}

impl<R: BufRead, W: Write> Judge for TerminalJudge<R, W> {
    fn name(&self) -> &str {
        "terminal"
    }

    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
        let shown = self.show("candidate.png", candidate.image)?;
        let input = self.show("input.png", candidate.input)?;
        let verdict = self.ask(candidate, [&shown, &input]).map_err(Error::io("ask at the terminal about", &shown))?;
        verdict.ok_or_else(|| Error::NoVerdict { video: candidate.video.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CleanImage, CleanOptions};
    use image::Rgb;

    fn judge(answers: &str, next: Option<usize>) -> (Result<Verdict, Error>, String) {
        let folder = tempfile::tempdir().unwrap();
        let (image, input) = (RgbImage::from_pixel(3, 2, Rgb([9; 3])), RgbImage::new(3, 2));
        let candidate = Candidate {
            video: "street",
            frames: 20,
            image: &image,
            percentile: 37,
            votes: &[0; 101],
            input: &input,
            clip: &CleanImage::new(CleanOptions::default()),
            next,
        };
        let mut said = Vec::new();
        let verdict = TerminalJudge::new(answers.as_bytes(), &mut said, folder.path().join("look")).judge(&candidate);
        let shown = crate::load_picture(folder.path().join("look/candidate.png")).unwrap();
        assert_eq!(shown.image.into_rgb8(), image);
        (verdict, String::from_utf8(said).unwrap())
    }

    #[test]
    fn answers_are_words_or_letters() {
        for answers in ["a\n", "Accept\n", "what\n\n  a  \n"] {
            assert_eq!(judge(answers, Some(30)).0.unwrap(), Verdict::Accept);
        }
        assert_eq!(judge("more", Some(30)).0.unwrap(), Verdict::MoreFrames);
        assert_eq!(
            judge("r  a car drives by \r\n", None).0.unwrap(),
            Verdict::Reject { reason: "a car drives by".into() }
        );
        assert_eq!(judge("reject\n", None).0.unwrap(), Verdict::Reject { reason: String::new() });
    }

    #[test]
    fn the_question_says_what_there_is() {
        let (_, said) = judge("a", Some(30));
        assert!(said.starts_with("street: clean image of 20 frames, percentile 37\n"), "{said}");
        assert!(said.contains("candidate.png") && said.contains("(up to 30)"), "{said}");
        let (verdict, said) = judge("m\na\n", None);
        assert_eq!(verdict.unwrap(), Verdict::Accept);
        assert!(said.contains("no more frames") && !said.contains("[m]"), "{said}");
    }

    #[test]
    fn silence_is_no_verdict() {
        let error = judge("maybe\n", None).0.unwrap_err();
        assert!(matches!(error, Error::NoVerdict { .. }), "{error}");
        assert!(error.to_string().contains("street"));
    }
}
