//! Two observers of one training.

use crate::observer::{Observed, Observer, SamplePictures, Started, StepRecord, ValidationRecord, Written};

/// The first hears everything before the second, which hears nothing that the first has failed at.
impl<A: Observer + ?Sized, B: Observer + ?Sized> Observer for (&mut A, &mut B) {
    fn started(&mut self, started: &Started<'_>) -> Observed {
        self.0.started(started)?;
        self.1.started(started)
    }

    fn step(&mut self, step: &StepRecord) -> Observed {
        self.0.step(step)?;
        self.1.step(step)
    }

    fn validating(&mut self, done: usize, of: usize) -> Observed {
        self.0.validating(done, of)?;
        self.1.validating(done, of)
    }

    fn validation(&mut self, validation: &ValidationRecord) -> Observed {
        self.0.validation(validation)?;
        self.1.validation(validation)
    }

    fn samples(&mut self, step: u64, samples: &[SamplePictures]) -> Observed {
        self.0.samples(step, samples)?;
        self.1.samples(step, samples)
    }

    fn written(&mut self, written: &Written<'_>) -> Observed {
        self.0.written(written)?;
        self.1.written(written)
    }

    fn message(&mut self, text: &str) -> Observed {
        self.0.message(text)?;
        self.1.message(text)
    }
}
