//! A person at the web page, as a judge.

use std::sync::Arc;

use axum::body::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, RgbImage};

use super::log::Subject;
use super::queue::{Facts, Pictures};
use super::shared::Shared;
use crate::Error;
use crate::judge::{Candidate, Density, Judge, Verdict};
use crate::pixels::pixels;

/// Shows candidates on the page of a [`ReviewServer`](super::ReviewServer) and waits for the person's verdict.
///
/// What was judged before, by the file of verdicts, is not asked again. Clones may judge from several threads at once.
#[derive(Clone, Debug)]
pub struct WebJudge {
    shared: Arc<Shared>,
    density: Option<Density>,
}

impl WebJudge {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, density: None }
    }

    /// The same, saying on the page how dense the rain is taken to be.
    #[must_use]
    pub fn with_density(self, density: Density) -> Self {
        Self { density: Some(density), ..self }
    }
}

impl Judge for WebJudge {
    fn name(&self) -> &str {
        "web"
    }

    /// # Errors
    /// [`Error::ReviewEnded`] if the server is shut down, before or meanwhile; [`Error::NoPixels`] or [`Error::SizesDiffer`] if there is
    /// nothing to compare; [`Error::Encode`] if a picture cannot be shown.
    fn judge(&mut self, candidate: &Candidate<'_>) -> Result<Verdict, Error> {
        let Candidate { video, frames, next, .. } = *candidate;
        let facts = facts(candidate, self.density)?;
        let subject = Subject::of(candidate);
        {
            let mut queue = self.shared.queue();
            if let Some(verdict) = queue.recorded(&subject, next) {
                queue.judged(video, frames, next, &verdict);
                return Ok(verdict);
            }
        }
        let pictures = Pictures { clean: png(candidate.image)?, input: png(candidate.input)? };
        let answer = self.shared.queue().publish(video, facts, pictures, subject);
        let verdict = answer.and_then(|answer| answer.recv().ok());
        verdict.ok_or_else(|| Error::ReviewEnded { video: video.to_owned() })
    }
}

fn facts(candidate: &Candidate<'_>, density: Option<Density>) -> Result<Facts, Error> {
    let (width, height) = candidate.image.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::NoPixels { width, height });
    }
    let found = candidate.input.dimensions();
    if found != (width, height) {
        return Err(Error::SizesDiffer { expected: (width, height), found });
    }
    let Candidate { frames, percentile, next, .. } = *candidate;
    // The queue numbers it.
    Ok(Facts { revision: 0, frames, percentile, votes: candidate.votes.to_vec(), next, density, width, height })
}

/// Quickly: it goes no further than this machine's browser.
fn png(image: &RgbImage) -> Result<Bytes, Error> {
    let (width, height) = image.dimensions();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels(image), width, height, ExtendedColorType::Rgb8)
        .map_err(|source| Error::Encode { format: ImageFormat::Png, source })?;
    Ok(bytes.into())
}
