//! Every bound that reading a weight file keeps, with its reason.
//!
//! Together they hold the memory that reading needs, beside the file's own bytes, under 256 MiB
//! whatever the file says; `tests/hostile_weights.rs` measures it.

/// Largest weight file that is read, in bytes (4 GiB). The file is held in memory while it is used.
pub const MAX_FILE_BYTES: u64 = 1 << 32;

/// Opcodes of one pickle. A state dict with Adam's moments costs about 45 opcodes per tensor.
pub(crate) const MAX_OPCODES: usize = 1 << 24;
/// Values that one pickle creates: 24 bytes each, 48 MiB in all. About 20 per tensor are usual.
pub(crate) const MAX_VALUES: usize = 1 << 21;
/// Container entries of one pickle: 8 bytes each, 32 MiB in all.
pub(crate) const MAX_LINKS: usize = 1 << 22;
/// Values and marks that wait on the pickle machine's stacks: 4 bytes each, 8 MiB a stack.
pub(crate) const MAX_STACK: usize = 1 << 21;
/// Memo slots of one pickle.
pub(crate) const MAX_MEMO: usize = 1 << 20;
/// Storages, and tensors, of one pickle, those of the optimizer included.
pub(crate) const MAX_STORAGES: usize = 1 << 18;
/// Longest `module name` line of a pickle; Python's own dotted names are far shorter.
pub(crate) const MAX_LINE_BYTES: usize = 256;

/// Members of a zip archive: one per storage and a few of torch's own.
pub(crate) const MAX_MEMBERS: usize = MAX_STORAGES + 64;

/// Length of a safetensors header: 65,536 tensors of usual names fit.
pub(crate) const MAX_HEADER_BYTES: usize = 8 << 20;
/// Entries of a safetensors file's `__metadata__`.
pub(crate) const MAX_METADATA: usize = 4096;

/// Named tensors of one file.
pub(crate) const MAX_TENSORS: usize = 1 << 16;
/// Axes of one tensor.
pub(crate) const MAX_RANK: usize = 16;
/// Bytes of one tensor's name.
pub(crate) const MAX_NAME_BYTES: usize = 512;
/// How many times the file's size all tensors together may have: tied weights are views of one
/// storage and count each time.
pub(crate) const MAX_EXPANSION: u64 = 4;
