//! What networks give.

/// What a network makes of a picture.
pub(crate) struct ModelOutput {
    /// Pixels `[H, W, 3]`, not clamped.
    pub(crate) clean: Vec<f32>,
    /// Attention maps, the coarsest first; the last one is as large as the picture.
    pub(crate) maps: Vec<Map>,
}

/// An attention map in 0..1, row by row.
pub(crate) struct Map {
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}
