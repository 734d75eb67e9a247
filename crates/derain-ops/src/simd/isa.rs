use std::sync::OnceLock;

/// The instruction set that CPU kernels use. This is the one place in the project that asks what the processor can do.
///
/// The environment variable `DERAIN_ISA` (`avx512`, `avx2` or `portable`) overrides the choice, for measurements and to
/// compare results; a set that the processor lacks, or a name that is none of these, falls back to the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust that compilers vectorise for their baseline.
    Portable,
    /// AVX2 and FMA: 8 lanes of f32.
    Avx2,
    /// AVX-512F: 16 lanes of f32.
    Avx512,
}

impl Isa {
    /// The instruction set that operations on tensors use in this process.
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let wanted = std::env::var("DERAIN_ISA").ok();
            let asked = Self::available().into_iter().find(|isa| wanted.as_deref() == Some(isa.name()));
            asked.unwrap_or_else(Self::best)
        })
    }

    /// Every instruction set that this processor can run, the best first.
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().filter(|isa| isa.is_supported()).collect()
    }

    /// Whether this processor can run it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Whether this processor can run it on vectors of bytes, which AVX-512F alone does not compare or add.
    pub(crate) fn is_supported_for_bytes(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => self.is_supported() && is_x86_feature_detected!("avx512bw"),
            other => other.is_supported(),
        }
    }

    /// The name that `DERAIN_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }
}
