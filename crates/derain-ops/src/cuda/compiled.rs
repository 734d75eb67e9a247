//! Kernels' texts, compiled once per process, kind of device, text and type of elements.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::DType;
use candle_core::cuda_backend::cudarc::nvrtc::sys::{nvrtcGetNumSupportedArchs, nvrtcGetSupportedArchs};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDevice, WrapErr};

use super::Source;
use super::failure::describe;
use crate::{Error, Result};

/// A compute capability, a source's name, a type.
type Key = ((i32, i32), &'static str, DType);

static COMPILED: Mutex<Option<HashMap<Key, Arc<str>>>> = Mutex::new(None);

/// The name under which a device keeps the loaded kernels of a source for a type.
pub(crate) fn module_name(source: &Source, dtype: DType) -> String {
    format!("derain {} {}", source.name, dtype.as_str())
}

/// A source compiled for a device. Whoever else wants one meanwhile waits.
pub(crate) fn ptx(op: &'static str, source: &Source, dtype: DType, device: &CudaDevice) -> Result<Arc<str>> {
    let capability = device.cuda_stream().context().compute_capability().w()?;
    let key = (capability, source.name, dtype);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(ptx) = compiled.get(&key) {
        return Ok(Arc::clone(ptx));
    }
    let ptx: Arc<str> = compile(&source.text_for(dtype)?, &format!("{}.cu", source.name), newest_known(capability))
        .map_err(|log| Error::Kernels { op, dtype, device: describe(device), log })?
        .into();
    compiled.insert(key, Arc::clone(&ptx));
    Ok(ptx)
}

/// The newest kind of GPU, up to this one, that the installed NVRTC knows: what is compiled for an older kind runs on a
/// newer one.
fn newest_known((major, minor): (i32, i32)) -> (i32, i32) {
    let mut kinds = Vec::new();
    let mut count = 0;
    // SAFETY: the first call writes one number, the second as many as the first said.
    unsafe {
        if nvrtcGetNumSupportedArchs(&mut count).result().is_ok() {
            kinds = vec![0; usize::try_from(count).unwrap_or(0)];
            if nvrtcGetSupportedArchs(kinds.as_mut_ptr()).result().is_err() {
                kinds.clear();
            }
        }
    }
    let known = kinds.into_iter().filter(|&kind| kind <= 10 * major + minor).max();
    known.map_or((major, minor), |kind| (kind / 10, kind % 10))
}

/// The PTX of a text for a compute capability, or what the compiler said.
fn compile(text: &str, name: &str, (major, minor): (i32, i32)) -> std::result::Result<String, String> {
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture=compute_{major}{minor}"), "--std=c++17".to_owned()],
        name: Some(name.to_owned()),
        ..CompileOptions::default()
    };
    match compile_ptx_with_opts(text, options) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { log, nvrtc, .. }) if log.is_empty() => Err(format!("{nvrtc:?}")),
        Err(CompileError::CompileError { log, .. }) => Err(log.to_string_lossy().into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
