//! A folder to run the example in, and what it must have said.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use derain::models::{SpaNetConfig, spanet};
use derain::{Derainer, Device, Network};
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

/// A folder with `weights.safetensors` in it, gone after the test.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = SpaNetConfig { channels: 4, ..SpaNetConfig::release() };
        let weights = spanet::initial_weight_file(&config, 7).unwrap();
        fs::write(folder.path().join("weights.safetensors"), weights).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the example in the folder with `--weights` and these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.run_bare(&format!("{arguments} --weights weights.safetensors"))
    }

    pub(crate) fn run_bare(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same as [`run`](Self::run), still running and silent.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        let mut command = self.command(&format!("{arguments} --weights weights.safetensors"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(support::example("derain_video"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command
    }

    pub(crate) fn derainer(&self) -> Derainer {
        Derainer::from_weights(Network::SpaNet, self.path("weights.safetensors"), &Device::Cpu).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Every file below a folder, relative to it and sorted.
    pub(crate) fn tree(&self, name: &str) -> Vec<String> {
        support::tree(&self.path(name))
    }
}
