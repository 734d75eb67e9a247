//! A folder with pictures and configurations, and runs of the example in it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::support;

pub(crate) const SPANET: &str = "kind = \"spanet\"\nchannels = 4";

const RRANET: &str = "kind = \"rranet\"\nwidths = [4, 4, 8, 8]\nstages = 2";

pub(crate) const NETWORKS: [(&str, &str); 2] = [("spanet", SPANET), ("rranet", RRANET)];

/// What a run takes at most that should end by itself.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Bench {
    folder: TempDir,
}

/// A run that has begun, and where its messages go.
pub(crate) struct Started {
    child: Child,
    log: PathBuf,
}

pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.path("photos")).unwrap();
        for number in 0..10u32 {
            let picture = RgbImage::from_fn(40, 36, |x, y| {
                Rgb([(7 * x + 16 * number) as u8, (5 * y + x * y / 9) as u8, (3 * (x + y) + 40 * number) as u8])
            });
            picture.save(bench.path(&format!("photos/{number:02}.png"))).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration of two parts a batch; gives its name.
    pub(crate) fn config(&self, name: &str, network: &str, held_out: usize, steps: u64) -> String {
        // RRANet's maps are not compared with the mask.
        let attention = if name == "spanet" { 1.0 } else { 0.0 };
        let text = format!(
            r#"
            output = "run"
            seed = 5
            steps = {steps}
            batch_size = 4
            micro_batches = 2
            ema = 0.9
            checkpoint_interval = 5
            [network]
            {network}
            [data]
            kind = "synthesized"
            clean = "photos"
            held_out = {held_out}
            [augment]
            crop = {{ kind = "window", size = 32 }}
            [loss]
            attention = {attention:?}
            [schedule]
            kind = "constant"
            rate = 0.002
            [validation]
            interval = 10
            "#
        );
        let file = format!("{name}.toml");
        fs::write(self.path(&file), text).unwrap();
        file
    }

    /// Starts the example on so many ranks, one without `mpirun`.
    pub(crate) fn start(&self, ranks: usize, config: &str, arguments: &str) -> Started {
        let mut command = Command::new("mpirun");
        if ranks > 1 {
            // Its process number is kept for signals.
            let script = r#"echo $$ >"rank.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"; exec "$0" "$@""#;
            command.args(["-n", &ranks.to_string(), "sh", "-c", script]).arg(support::example("train"));
            // For OpenMPI in containers of few cores; other MPIs do not look at it.
            for (name, value) in [
                ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
                ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
                ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
            ] {
                command.env(name, value);
            }
        } else {
            command = Command::new(support::example("train"));
        }
        let log = self.path(&format!("{}.log", arguments.replace(' ', "_")));
        command.args(["--config", config]).args(arguments.split_whitespace()).current_dir(self.folder.path());
        // Two ranks of one thread each or one of two: results do not depend on it.
        command.env_remove("RUST_LOG").env("RAYON_NUM_THREADS", if ranks > 1 { "1" } else { "2" });
        let child = command.stderr(File::create(&log).unwrap()).spawn();
        Started { child: child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")), log }
    }

    /// Runs to the end of all steps.
    pub(crate) fn done(&self, ranks: usize, config: &str, arguments: &str) {
        let output = ended(self.start(ranks, config, arguments), PATIENCE);
        assert!(output.success, "{ranks} ranks, {arguments}: {}", output.stderr);
    }

    pub(crate) fn assert_same(&self, one: &str, other: &str, files: &[&str]) {
        for name in files {
            let read = |folder: &str| fs::read(self.path(&format!("{folder}/{name}.safetensors"))).unwrap();
            assert!(read(one) == read(other), "{name}.safetensors of {one} and {other} differ");
        }
    }

    /// SIGTERM to one rank.
    pub(crate) fn terminate(&self, rank: usize) {
        self.signal(rank, "-TERM");
    }

    /// SIGKILL to one rank.
    pub(crate) fn kill(&self, rank: usize) {
        self.signal(rank, "-KILL");
    }

    fn signal(&self, rank: usize, signal: &str) {
        let process = fs::read_to_string(self.path(&format!("rank.{rank}"))).unwrap();
        assert!(Command::new("kill").args([signal, process.trim()]).status().unwrap().success());
    }
}

/// Waits for the end of a run; one that takes longer than `patience` hangs.
pub(crate) fn ended(mut started: Started, patience: Duration) -> Ended {
    let begun = Instant::now();
    let told = || fs::read_to_string(&started.log).unwrap();
    loop {
        if let Some(status) = started.child.try_wait().unwrap() {
            return Ended { success: status.success(), stderr: told() };
        }
        if begun.elapsed() > patience {
            started.child.kill().unwrap();
            panic!("still running after {patience:?}: {}", told());
        }
        thread::sleep(Duration::from_millis(50));
    }
}
