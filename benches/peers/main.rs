//! This project's side of `compare.py`, which times it beside PyTorch: a process that loads weights, infers, trains and
//! answers with the seconds that the call alone took.
//!
//! One line of JSON asks, one line answers; tensors travel in safetensors files:
//!
//! ```text
//! {"initial_weights": {"path": "w.safetensors", "seed": 1}}              {}
//! {"load": {"weights": "w.safetensors", "form": "paper"}}                {"config": {"channels": 32, …}}
//! {"initial_rranet": {"path": "w.safetensors", "seed": 1}}               {}
//! {"load_rranet": {"weights": "w.safetensors"}}                          {}
//! {"infer": {"input": "in.safetensors", "output": "out.safetensors"}}    {"seconds": 0.061}
//! {"step": {"input": "in.safetensors"}}                                  {"seconds": 1.7}
//! ```
//!
//! `infer` reads `picture` `[1, 3, H, W]` and writes `clean` `[H, W, 3]` and `attention` `[H, W]` (u8). `step` is one
//! forward pass, loss and backward pass of SPANet: it reads `rainy`, `clean` and `mask` and writes `clean`,
//! `attention`, `loss` and `gradient.NAME` for each parameter that has one. Without `output` nothing is written. A
//! failure answers `{"error": "…"}`.

#![allow(clippy::print_stdout, reason = "the answers go there")]

mod model;

use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use derain::models::spanet::initial_weight_file;
use derain::models::{RraNetConfig, SpaNetConfig, rranet};
use model::{Form, Model, Seconds};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    InitialWeights { path: PathBuf, seed: u64 },
    Load { weights: PathBuf, form: Form },
    InitialRranet { path: PathBuf, seed: u64 },
    LoadRranet { weights: PathBuf },
    Infer { input: PathBuf, output: Option<PathBuf> },
    Step { input: PathBuf, output: Option<PathBuf> },
}

#[derive(Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<SpaNetConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn main() -> Result<()> {
    // `cargo bench` and `cargo test --benches` run this too, and must not wait for requests that nobody sends.
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("peers: compared with PyTorch by `python benches/peers/compare.py`; see benches/peers/README.md");
        return Ok(());
    }
    let mut model = None;
    for line in stdin().lock().lines() {
        let answer = answer(&line?, &mut model)
            .unwrap_or_else(|error| Answer { error: Some(format!("{error:#}")), ..Answer::default() });
        println!("{}", serde_json::to_string(&answer)?);
        stdout().flush()?;
    }
    Ok(())
}

fn answer(line: &str, model: &mut Option<Model>) -> Result<Answer> {
    const NOT_LOADED: &str = "no weights are loaded";
    let timed = |seconds| Answer { seconds: Some(seconds), ..Answer::default() };
    match serde_json::from_str(line).context("not a request")? {
        Request::InitialWeights { path, seed } => {
            derain::data::write_durably(&path, &initial_weight_file(&SpaNetConfig::paper(), seed)?)?;
            Ok(Answer::default())
        }
        Request::Load { weights, form } => {
            let (config, loaded) = Model::load(&weights, form)?;
            *model = Some(loaded);
            Ok(Answer { config: Some(config), ..Answer::default() })
        }
        Request::InitialRranet { path, seed } => {
            derain::data::write_durably(&path, &rranet::initial_weight_file(&RraNetConfig::default(), seed)?)?;
            Ok(Answer::default())
        }
        Request::LoadRranet { weights } => {
            *model = Some(Model::load_rranet(&weights)?);
            Ok(Answer::default())
        }
        Request::Infer { input, output } => {
            Ok(timed(model.as_ref().context(NOT_LOADED)?.infer(&input, output.as_deref())?))
        }
        Request::Step { input, output } => {
            Ok(timed(model.as_ref().context(NOT_LOADED)?.step(&input, output.as_deref())?))
        }
    }
}
