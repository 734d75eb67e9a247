//! Every operation and both networks on an NVIDIA GPU against the CPU, forward and backward.
//!
//! ```text
//! REQUIRE_GPU=1 cargo test --release --features cuda --test gpu
//! ```
//!
//! Without a GPU the tests say that they are skipped; with `REQUIRE_GPU` set they fail.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

mod networks;
mod operations;
#[path = "../support/gpu.rs"]
mod support;
