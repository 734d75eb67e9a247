//! Frames on their way from a source to a clean image.

use image::RgbImage;

use super::{Insets, MotionOptions, Registration, StillnessCheck};
use crate::Error;
use crate::frames::FrameSource;

/// What is expected of the camera, and done about its movements.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Camera {
    /// It stands still: a clip that moves is refused ([`StillnessCheck`]).
    #[default]
    Still,
    /// A hand holds it: frames are laid over the first ([`Registration`]); beyond the limits a clip is refused. Where a
    /// frame does not show what the first shows at its border, its own edge is repeated: leave [`FrameSource::unseen`]
    /// out ([`Insets::crop`]).
    Handheld(MotionOptions),
    /// Whatever: frames are taken as they are.
    Unchecked,
}

/// The frames of `source`, checked or registered on the way.
///
/// With [`Camera::Handheld`], frames have made-up pixels at the borders, and so has a clean image of them.
/// [`FrameSource::unseen`] of what is returned, asked after the last frame, says how many, and [`Insets::crop`] cuts
/// them off.
///
/// # Errors
/// Those of [`Registration::new`] here; with the frames also those of [`Registration::register`] and
/// [`StillnessCheck::check`].
pub fn steady<'a>(
    source: Box<dyn FrameSource + Send + 'a>,
    camera: &Camera,
) -> Result<Box<dyn FrameSource + Send + 'a>, Error> {
    Ok(match camera {
        Camera::Unchecked => source,
        Camera::Still => Box::new(Checked { source, check: StillnessCheck::new() }),
        Camera::Handheld(options) => {
            let registration = Registration::new(options.clone())?;
            Box::new(Laid { source, registration, unseen: Insets::default() })
        }
    })
}

struct Checked<'a> {
    source: Box<dyn FrameSource + Send + 'a>,
    check: StillnessCheck,
}

impl FrameSource for Checked<'_> {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        let frame = self.source.next_frame()?;
        frame.iter().try_for_each(|frame| self.check.check(frame))?;
        Ok(frame)
    }

    fn size(&self) -> (u32, u32) {
        self.source.size()
    }

    fn expected(&self) -> Option<usize> {
        self.source.expected()
    }

    fn unseen(&self) -> Insets {
        self.source.unseen()
    }
}

struct Laid<'a> {
    source: Box<dyn FrameSource + Send + 'a>,
    registration: Registration,
    unseen: Insets,
}

impl FrameSource for Laid<'_> {
    fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
        let Some(frame) = self.source.next_frame()? else { return Ok(None) };
        let registered = self.registration.register(&frame)?;
        self.unseen = self.unseen.union(registered.missing);
        Ok(Some(registered.image))
    }

    fn size(&self) -> (u32, u32) {
        self.source.size()
    }

    fn expected(&self) -> Option<usize> {
        self.source.expected()
    }

    fn unseen(&self) -> Insets {
        self.unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, imageops};

    /// Views of a textured scene, one for each column at which a view starts.
    struct Views(Vec<u32>);

    impl FrameSource for Views {
        fn next_frame(&mut self) -> Result<Option<RgbImage>, Error> {
            let scene = RgbImage::from_fn(140, 64, |x, y| Rgb([((x * x + 3 * y * y) / 40 % 256) as u8; 3]));
            let at = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
            Ok(at.map(|x| imageops::crop_imm(&scene, x, 0, 96, 60).to_image()))
        }

        fn size(&self) -> (u32, u32) {
            (96, 60)
        }

        fn expected(&self) -> Option<usize> {
            Some(self.0.len())
        }
    }

    fn all(places: &[u32], camera: &Camera) -> Result<Vec<RgbImage>, Error> {
        let mut source = steady(Box::new(Views(places.to_vec())), camera)?;
        assert_eq!((source.size(), source.expected()), ((96, 60), Some(places.len())));
        std::iter::from_fn(|| source.next_frame().transpose()).collect()
    }

    #[test]
    fn still_clips_pass_unchanged_and_others_are_refused_or_laid_over() {
        let still = all(&[5, 5, 5], &Camera::Still).unwrap();
        assert_eq!(still, all(&[5, 5, 5], &Camera::Unchecked).unwrap());
        let error = all(&[5, 5, 7], &Camera::Still).unwrap_err();
        assert!(matches!(error, Error::SceneMoves { frame: 2, .. }), "{error}");
        assert_ne!(all(&[5, 7], &Camera::Unchecked).unwrap()[1], still[0]);
        let laid = all(&[5, 7], &Camera::Handheld(MotionOptions::default())).unwrap();
        assert_eq!(laid[1].get_pixel(40, 30), still[0].get_pixel(40, 30));
        let mut source = steady(Box::new(Views(vec![5, 7, 4])), &Camera::Handheld(MotionOptions::default())).unwrap();
        assert_eq!(source.unseen(), Insets::default());
        while source.next_frame().unwrap().is_some() {}
        assert_eq!(source.unseen(), Insets { left: 2, right: 1, ..Insets::default() });
        assert!(all(&[5, 40], &Camera::Handheld(MotionOptions::default())).is_err());
    }
}
