//! Draws the curves of a training, running or done: losses, gradient norm, learning rate, PSNR and SSIM over the steps.
//!
//! ```text
//! cargo run --release --example plot_training -- RUN_FOLDER [-o curves.png]
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use derain::data::{Picture, save_picture};
use derain::train::{plot_curves, read_log};
use image::DynamicImage;

#[derive(Debug, Parser)]
#[command(about = "Draws the curves of a training from its log")]
struct Arguments {
    /// The training's output folder, or its log.jsonl
    input: PathBuf,
    /// The picture; curves.png beside the log if left out
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[path = "support/mod.rs"]
mod support;

fn main() -> ExitCode {
    support::start_log();
    support::exit_code(run().map(|()| true))
}

fn run() -> Result<()> {
    let Arguments { input, output } = Arguments::parse();
    let log = if input.is_dir() { input.join("log.jsonl") } else { input };
    let records = read_log(&log)?;
    if records.is_empty() {
        bail!("{} holds no line yet", log.display());
    }
    let output = output.unwrap_or_else(|| log.with_file_name("curves.png"));
    let picture = Picture::from(DynamicImage::ImageRgb8(plot_curves(&records)));
    save_picture(&output, &picture).with_context(|| format!("cannot write {}", output.display()))?;
    tracing::info!("{}", output.display());
    Ok(())
}
