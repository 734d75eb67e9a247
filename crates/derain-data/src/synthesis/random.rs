//! Random numbers that depend on what they are for, not on when they are drawn.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// What a generator is for, so that equal numbers elsewhere do not give equal rain.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum Purpose {
    Drop = 1,
    Passage,
    Count,
    Gust,
    Noise,
    Shake,
}

/// The generator of one thing, named by a purpose and up to three numbers.
pub(super) fn generator(seed: u64, purpose: Purpose, name: [u64; 3]) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(hash(seed, purpose, name))
}

/// 64 well mixed bits.
pub(super) fn hash(seed: u64, purpose: Purpose, name: [u64; 3]) -> u64 {
    name.iter().fold(mix(seed ^ mix(purpose as u64)), |state, &part| mix(state ^ part))
}

/// Evenly in 0..1.
pub(super) fn unit(hash: u64) -> f32 {
    // The upper 24 bits, which f32 holds exactly.
    (hash >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
}

/// SplitMix64's step and finalizer (Steele, Lea, Flood, OOPSLA 2014).
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Two independent standard normal values (Box and Muller 1958).
pub(super) fn normals(rng: &mut Pcg64Mcg) -> [f32; 2] {
    // 1 − x is never 0.
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
    [radius * cos, radius * sin]
}
