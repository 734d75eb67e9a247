//! Kernels on the CPU, for tests: a [`Recorder`] takes launches down, a [`Program`] is an operation's text compiled for
//! the processor and runs them, under an order of threads, in a process of its own.
//!
//! It takes a C++ compiler (`CXX`, else `c++`) and Linux. Without one, tests say that they are skipped, and fail where
//! `DERAIN_REQUIRE_CXX` is set.

pub(crate) mod checks;

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use candle_core::DType;
use half::{bf16, f16};

use super::{Arg, Grid, Launcher, Source};
use crate::Result;

const HEADER: &str = include_str!("cuda_on_cpu.h");
const ENGINE: &str = include_str!("engine.cpp");

/// Orders of threads that find a missing barrier whichever way its writer and reader lie: ascending, descending, two
/// shuffles.
pub(crate) const ORDERS: [u32; 4] = [0, 1, 2, 3];

/// An operation's kernels as a program for the processor.
pub(crate) struct Program {
    binary: PathBuf,
    _folder: tempfile::TempDir,
}

impl Program {
    /// Compiles a source for elements of a type. None where there is no compiler.
    pub(crate) fn compile(source: &Source, dtype: DType) -> Option<Self> {
        Self::compile_text(&source.text_for(dtype).expect("a type that kernels take"))
    }

    /// Compiles a source with one place changed: a mistake that a test must notice. `nth` counts the occurrences of
    /// `original` from 0.
    pub(crate) fn compile_mutant(
        source: &Source,
        dtype: DType,
        original: &str,
        nth: usize,
        changed: &str,
    ) -> Option<Self> {
        let (at, _) = source.text.match_indices(original).nth(nth).expect("the place to change");
        let text = [&source.text[..at], changed, &source.text[at + original.len()..]].concat();
        // A source's text lives as long as the program, and there are few mutants.
        Self::compile(&Source { name: source.name, text: text.leak() }, dtype)
    }

    fn compile_text(text: &str) -> Option<Self> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        let found = Command::new(&compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !cfg!(target_os = "linux") || !found.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("DERAIN_REQUIRE_CXX").is_none(), "there is no C++ compiler {compiler:?}");
            println!("skipped: CUDA kernels run on the CPU on Linux with a C++ compiler ({compiler:?} is none)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let kernels: String = kernel_names(text).map(|name| format!("KERNEL({name})")).collect();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        write("cuda_on_cpu.h", HEADER);
        write(
            "kernels.cpp",
            &format!("#include \"cuda_on_cpu.h\"\n{text}\n#define REGISTER_KERNELS {kernels}\n{ENGINE}"),
        );
        let binary = folder.path().join("kernels");
        let output = Command::new(&compiler)
            // A fortified `longjmp` takes another fibre's stack for a mistake.
            .args(["-std=c++17", "-O1", "-w", "-U_FORTIFY_SOURCE", "-o"])
            .arg(&binary)
            .arg(folder.path().join("kernels.cpp"))
            .output()
            .expect("the compiler starts");
        assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
        Some(Self { binary, _folder: folder })
    }

    /// Runs what was recorded under an order of threads. The contents of all buffers, or what went wrong.
    pub(crate) fn run(&self, recorder: &Recorder, order: u32) -> std::result::Result<Contents, String> {
        run(&self.binary, &recorder.request(order)).map(|bytes| recorder.split(&bytes))
    }
}

fn kernel_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("__global__").skip(1).filter_map(|rest| {
        // `void name(`, or `void __launch_bounds__(…) name(`.
        let rest = rest.trim_start().strip_prefix("void")?.trim_start();
        let rest = if rest.starts_with("__launch_bounds__") { &rest[rest.find(')')? + 1..] } else { rest };
        Some(rest[..rest.find('(')?].trim())
    })
}

fn run(binary: &Path, request: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let mut child = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    // It reads the whole request before it writes anything, unless it fails.
    let written = child.stdin.take().expect("its input").write_all(request);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.success() && written.is_ok() {
        true => Ok(output.stdout),
        false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Takes buffers and launches down.
#[derive(Default)]
pub(crate) struct Recorder {
    buffers: RefCell<Vec<Buffer>>,
    launches: RefCell<(u32, Vec<u8>)>,
}

struct Buffer {
    dtype: DType,
    length: usize,
    contents: Option<Vec<u8>>,
}

/// A buffer of a [`Recorder`].
#[derive(Debug)]
pub(crate) struct Id(usize);

impl Recorder {
    /// A buffer of these values.
    pub(crate) fn upload(&self, dtype: DType, values: &[f64]) -> Id {
        let contents = values.iter().flat_map(|&value| to_bytes(dtype, value)).collect();
        self.push(Buffer { dtype, length: values.len(), contents: Some(contents) })
    }

    fn push(&self, buffer: Buffer) -> Id {
        let mut buffers = self.buffers.borrow_mut();
        buffers.push(buffer);
        Id(buffers.len() - 1)
    }

    fn request(&self, order: u32) -> Vec<u8> {
        let mut request = Vec::new();
        let buffers = self.buffers.borrow();
        request.extend(order.to_ne_bytes());
        request.extend((buffers.len() as u32).to_ne_bytes());
        for Buffer { dtype, length, contents } in buffers.iter() {
            request.extend(((length * dtype.size_in_bytes()) as u64).to_ne_bytes());
            request.extend((dtype.size_in_bytes() as u32).to_ne_bytes());
            request.push(contents.is_some().into());
            request.extend(contents.iter().flatten());
        }
        let (count, launches) = &*self.launches.borrow();
        request.extend(count.to_ne_bytes());
        request.extend(launches);
        request
    }

    fn split(&self, mut bytes: &[u8]) -> Contents {
        let buffers = self.buffers.borrow();
        let of_buffer = |&Buffer { dtype, length, .. }: &Buffer| {
            let (these, rest) = bytes.split_at(length * dtype.size_in_bytes());
            bytes = rest;
            these.chunks(dtype.size_in_bytes()).map(|bytes| from_bytes(dtype, bytes)).collect()
        };
        Contents(buffers.iter().map(of_buffer).collect())
    }
}

/// All buffers after a run.
#[derive(Debug)]
pub(crate) struct Contents(Vec<Vec<f64>>);

impl Contents {
    /// One buffer's values.
    pub(crate) fn of(&self, id: &Id) -> &[f64] {
        &self.0[id.0]
    }

    /// Whether all values are the same, NaN included.
    pub(crate) fn has_bits_of(&self, other: &Self) -> bool {
        let bits = |contents: &Self| -> Vec<u64> { contents.0.iter().flatten().map(|value| value.to_bits()).collect() };
        bits(self) == bits(other)
    }
}

impl Launcher for Recorder {
    type Buffer = Id;

    fn allocate(&self, dtype: DType, length: usize) -> Result<Id> {
        Ok(self.push(Buffer { dtype, length, contents: None }))
    }

    unsafe fn launch(
        &self,
        _source: &Source,
        _dtype: DType,
        kernel: &'static str,
        grid: Grid,
        arguments: &[Arg<'_, Id>],
    ) -> Result<()> {
        let (count, bytes) = &mut *self.launches.borrow_mut();
        *count += 1;
        bytes.extend((kernel.len() as u32).to_ne_bytes());
        bytes.extend(kernel.as_bytes());
        for size in [grid.blocks as u32, grid.threads.0, grid.threads.1, arguments.len() as u32] {
            bytes.extend(size.to_ne_bytes());
        }
        for argument in arguments {
            match argument {
                Arg::Buffer(id) => pointer(bytes, id, 0),
                Arg::At(id, offset) => pointer(bytes, id, *offset),
                Arg::Null => bytes.push(b'n'),
                Arg::Int(value) => {
                    bytes.push(b'i');
                    bytes.extend(value.to_ne_bytes());
                }
                Arg::Long(value) => {
                    bytes.push(b'l');
                    bytes.extend(value.to_ne_bytes());
                }
                Arg::Double(value) => {
                    bytes.push(b'd');
                    bytes.extend(value.to_ne_bytes());
                }
            }
        }
        Ok(())
    }
}

fn pointer(bytes: &mut Vec<u8>, id: &Id, offset: usize) {
    bytes.push(b'b');
    bytes.extend((id.0 as u32).to_ne_bytes());
    bytes.extend((offset as u64).to_ne_bytes());
}

/// Values as a type stores them.
pub(crate) fn rounded(dtype: DType, values: &[f64]) -> Vec<f64> {
    values.iter().map(|&value| from_bytes(dtype, &to_bytes(dtype, value))).collect()
}

fn to_bytes(dtype: DType, value: f64) -> Vec<u8> {
    match dtype {
        DType::F64 => value.to_ne_bytes().into(),
        DType::F32 => (value as f32).to_ne_bytes().into(),
        DType::F16 => f16::from_f64(value).to_ne_bytes().into(),
        DType::BF16 => bf16::from_f64(value).to_ne_bytes().into(),
        other => panic!("kernels do not take {other:?}"),
    }
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> f64 {
    let two = || [bytes[0], bytes[1]];
    match dtype {
        DType::F64 => f64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
        DType::F32 => f32::from_ne_bytes(bytes.try_into().expect("four bytes")).into(),
        DType::F16 => f16::from_ne_bytes(two()).into(),
        DType::BF16 => bf16::from_ne_bytes(two()).into(),
        other => panic!("kernels do not take {other:?}"),
    }
}

#[cfg(test)]
mod tests;
