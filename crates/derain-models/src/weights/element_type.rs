//! The types of elements that weight files hold.

/// The type of a tensor's elements, as the file stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// 64-bit float (`DoubleStorage`).
    F64,
    /// 32-bit float (`FloatStorage`).
    F32,
    /// 16-bit IEEE float (`HalfStorage`).
    F16,
    /// 16-bit float with the exponent of an `f32` (`BFloat16Storage`).
    Bf16,
    /// 64-bit signed integer (`LongStorage`).
    I64,
    /// 32-bit signed integer (`IntStorage`).
    I32,
    /// 16-bit signed integer (`ShortStorage`).
    I16,
    /// 8-bit signed integer (`CharStorage`).
    I8,
    /// 8-bit unsigned integer (`ByteStorage`).
    U8,
    /// A byte that is 0 or 1 (`BoolStorage`).
    Bool,
}

impl ElementType {
    /// Every element type, with torch's storage class and safetensors' name.
    const NAMES: [(Self, &'static str, &'static str); 10] = [
        (Self::F64, "DoubleStorage", "F64"),
        (Self::F32, "FloatStorage", "F32"),
        (Self::F16, "HalfStorage", "F16"),
        (Self::Bf16, "BFloat16Storage", "BF16"),
        (Self::I64, "LongStorage", "I64"),
        (Self::I32, "IntStorage", "I32"),
        (Self::I16, "ShortStorage", "I16"),
        (Self::I8, "CharStorage", "I8"),
        (Self::U8, "ByteStorage", "U8"),
        (Self::Bool, "BoolStorage", "BOOL"),
    ];

    /// Bytes of one element.
    ///
    /// ```
    /// assert_eq!(derain_models::weights::ElementType::Bf16.size(), 2);
    /// ```
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The name in safetensors headers: `F32`, `BOOL`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(element, _, _)| *element == self).map_or("", |(_, _, name)| name)
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::I16 | Self::I8 | Self::U8)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, _, known)| *known == name);
        found.map(|(element, _, _)| *element)
    }

    pub(crate) fn from_storage_class(class: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, known, _)| *known == class);
        found.map(|(element, _, _)| *element)
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
