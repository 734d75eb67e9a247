//! Losses and learning-rate schedules of the deraining papers.
