//! The released algorithm of the scans as a baseline on the GPU.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape};

/// x `[1, C, H, W]` -> `[1, 4·C, H, W]`, with one weight and bias for all.
pub(crate) struct Restart {
    pub(crate) weight: f32,
    pub(crate) bias: f32,
}

const THREADS: u32 = 256;

impl CustomOp1 for Restart {
    fn name(&self) -> &'static str {
        "restart_from_border"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("this baseline runs on GPUs")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (_, channels, height, width) = layout.shape().dims4()?;
        let device = x.device();
        let (major, minor) = device.cuda_stream().context().compute_capability().w()?;
        // Once, by the round that warms up: its time is not the kernel's.
        static PTX: OnceLock<String> = OnceLock::new();
        if PTX.get().is_none() {
            let options = CompileOptions {
                options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
                ..CompileOptions::default()
            };
            let _ = PTX.set(compile_ptx_with_opts(include_str!("restart.cu"), options).w()?.to_src());
        }
        let ptx = PTX.get().map_or("", String::as_str);
        let function = device.get_or_load_custom_func("restart_from_border", "restart", ptx)?;
        let count = 4 * layout.shape().elem_count();
        // SAFETY: the kernel writes every element.
        let mut out = unsafe { device.alloc::<f32>(count)? };
        let x = x.as_cuda_slice::<f32>()?.slice(layout.start_offset()..);
        let [planes, height_i, width_i] = [channels, height, width].map(|count| count as i32);
        let mut launch = function.builder();
        launch.arg(&x).arg(&mut out).arg(&self.weight).arg(&self.bias).arg(&planes).arg(&height_i).arg(&width_i);
        let config = LaunchConfig {
            grid_dim: (count.div_ceil(THREADS as usize) as u32, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: these are the kernel's parameters, and threads beyond the count do nothing.
        unsafe { launch.launch(config) }.w()?;
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), (1, 4 * channels, height, width).into()))
    }
}
