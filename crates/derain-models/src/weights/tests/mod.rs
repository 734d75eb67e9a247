//! Tests of weight-file reading, on files made here byte by byte.

mod builder;
mod faults;
mod fixtures;
mod formats;
mod hostile;
mod state_dict;
