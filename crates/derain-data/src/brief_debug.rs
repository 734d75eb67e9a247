//! `Debug` of what holds pictures, without their pixels.

/// Implements it by the fields that are named and what to print of each.
macro_rules! brief_debug {
    ($type:ty, |$this:ident| { $($field:ident: $value:expr),+ $(,)? }) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $this = self;
                f.debug_struct(stringify!($type).trim_end_matches("<'_>"))$(.field(stringify!($field), &$value))+.finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use brief_debug;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use image::{DynamicImage, RgbImage};

    use crate::dataset::{AugmentOptions, Sample};
    use crate::synthesis::{Backdrop, RainOptions, RainScene};
    use crate::{CleanImage, CleanOptions, MotionOptions, Picture, Registration, StillnessCheck};

    #[test]
    fn pixels_are_not_printed() {
        fn brief(value: &impl Debug) {
            let text = format!("{value:?}");
            assert!(text.len() < 2000, "{} characters: {}", text.len(), &text[..500]);
        }
        let frame = RgbImage::new(100, 80);
        let mut clean = CleanImage::new(CleanOptions::default());
        clean.push(&frame).unwrap();
        brief(&clean);
        brief(&clean.finish().unwrap());
        let mut registration = Registration::new(MotionOptions::default()).unwrap();
        brief(&registration.register(&frame).unwrap());
        brief(&registration);
        let mut still = StillnessCheck::new();
        still.check(&frame).unwrap();
        brief(&still);
        let options = RainOptions::default();
        let scene = RainScene::new(&options, 100, 80, 1).unwrap();
        brief(&scene);
        brief(&scene.frame(0));
        brief(&Backdrop::new(&frame, &options).unwrap());
        brief(&scene.render(&frame, 0).unwrap());
        brief(&AugmentOptions::none().apply(&frame, &frame, [0; 3]).unwrap());
        brief(&Sample::from_pictures(&frame, &frame).unwrap());
        brief(&Picture::from(DynamicImage::from(frame)));
    }
}
