//! Random numbers that depend on what they are for, not on when they are drawn.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use sha2::{Digest, Sha256};

/// The generator for one purpose and its key numbers: equal on every machine, for any thread count, and unrelated to
/// that of any other purpose or key. The hash does the mixing, because generators of this family with near seeds start
/// alike.
pub fn generator(purpose: &str, keys: &[u64]) -> Pcg64Mcg {
    let mut hash = Sha256::new();
    hash.update(purpose.as_bytes());
    for key in keys {
        hash.update(key.to_le_bytes());
    }
    let mut seed = <Pcg64Mcg as SeedableRng>::Seed::default();
    let digest = hash.finalize();
    let bytes = seed.len();
    seed.copy_from_slice(&digest[..bytes]);
    Pcg64Mcg::from_seed(seed)
}

/// Fisher and Yates's shuffle.
pub(super) fn shuffle<T>(items: &mut [T], generator: &mut Pcg64Mcg) {
    for last in (1..items.len()).rev() {
        // 64 bits everywhere, so that 32-bit machines draw the same.
        let other = generator.random_range(0..=last as u64) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_and_every_place_is_equally_likely() {
        let mut hits = [[0u32; 5]; 5];
        for seed in 0..5000 {
            let mut items = [0, 1, 2, 3, 4];
            shuffle(&mut items, &mut generator("test", &[seed]));
            for (place, &item) in items.iter().enumerate() {
                hits[place][item] += 1;
            }
        }
        // 1000 expected, standard deviation 28.
        assert!(hits.iter().flatten().all(|&count| (850..1150).contains(&count)), "{hits:?}");
    }

    #[test]
    fn purposes_and_keys_tell_generators_apart() {
        let first = |purpose, keys: &[u64]| generator(purpose, keys).random::<u64>();
        assert_eq!(first("a", &[1, 2]), first("a", &[1, 2]));
        let others = [first("b", &[1, 2]), first("a", &[2, 1]), first("a", &[1]), first("a", &[1, 2, 0])];
        assert!(!others.contains(&first("a", &[1, 2])));
    }
}
