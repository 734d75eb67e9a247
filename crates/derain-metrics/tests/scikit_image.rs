//! Numbers of scikit-image 0.26.0, which the crate must reproduce. All snippets begin with
//!
//! ```python
//! import numpy as np
//! from skimage.metrics import peak_signal_noise_ratio as psnr, structural_similarity as ssim
//! wang = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
//! # and `pictures` of common/mod.rs
//! ```

mod common;

use common::{assert_close, float_pictures, pictures};
use derain_metrics::{Covariance, Protocol, Ssim, Window, psnr};
use ndarray::Array3;

/// Both sides compute in f64; what rounding leaves is below 1e-13.
const TOLERANCE: f64 = 1e-12;

fn uniform(size: usize) -> Ssim {
    Ssim { window: Window::Uniform { size }, covariance: Covariance::Sample, ..Ssim::default() }
}

// for h, w, channels in [(11, 11, 1), (11, 11, 3), (12, 31, 3), (40, 33, 1), (33, 64, 3)]:
//     x, y = [v / 255 for v in pictures(h, w, channels, 8)]
//     print(psnr(x, y, data_range=1),
//           ssim(x, y, data_range=1, channel_axis=-1, **wang),
//           ssim(x, y, data_range=1, channel_axis=-1, win_size=7),
//           ssim(x, y, data_range=2, channel_axis=-1, win_size=7),
//           ssim(x, y, data_range=1, channel_axis=-1, win_size=3, use_sample_covariance=False),
//           ssim(x, y, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=0.8, K1=0.02, K2=0.05))
#[rustfmt::skip]
const SCORES: [((usize, usize, usize), [f64; 6]); 5] = [
    ((11, 11, 1), [27.05001998055615, 0.9896553935218712, 0.988685620850762, 0.9888514635312413, 0.986919488114894, 0.9881614684921459]),
    ((11, 11, 3), [26.934046605549607, 0.9872040539300914, 0.9876183215417003, 0.9878129019155034, 0.9861397710413908, 0.9851474902719012]),
    ((12, 31, 3), [26.884335869475162, 0.9862315339627598, 0.9868207233323961, 0.9870403910849336, 0.9855811427095875, 0.9852587475681805]),
    ((40, 33, 1), [26.890976300521423, 0.9869934588561684, 0.987604162825028, 0.9878047551366494, 0.9840733953023995, 0.984629384773094]),
    ((33, 64, 3), [26.854025245241303, 0.9867003911683255, 0.9872534356860513, 0.9874630013285075, 0.9841928061816562, 0.9842766652620517]),
];

#[test]
fn psnr_and_every_kind_of_ssim() {
    let options = [
        Ssim::default(),
        uniform(7),
        Ssim { data_range: 2.0, ..uniform(7) },
        Ssim { covariance: Covariance::Population, ..uniform(3) },
        Ssim {
            window: Window::Gaussian { size: 7, sigma: 0.8 },
            covariance: Covariance::Sample,
            k1: 0.02,
            k2: 0.05,
            ..Ssim::default()
        },
    ];
    for ((height, width, channels), [expected_psnr, expected_ssim @ ..]) in SCORES {
        let (a, b) = float_pictures(height, width, channels);
        assert_close(psnr(&a, &b, 1.0).unwrap(), expected_psnr, 1e-12 * expected_psnr);
        for (options, expected) in options.iter().zip(expected_ssim) {
            assert_close(options.score(&a, &b).unwrap(), expected, TOLERANCE);
        }
    }
}

// x, y = pictures(12, 31, 3, 8)
// _, wang_map = ssim(x / 255, y / 255, data_range=1, channel_axis=-1, full=True, **wang)
// _, uniform_map = ssim(x.astype(float), y.astype(float), data_range=255, channel_axis=-1, full=True, win_size=7)
// places = [(0, 0, 0), (0, 30, 1), (11, 0, 2), (11, 30, 0), (0, 15, 1), (5, 0, 2), (6, 14, 0)]
// for s in [wang_map, uniform_map]: print([s[i] for i in places], s.mean())
#[test]
fn maps_with_their_mirrored_borders() {
    const PLACES: [[usize; 3]; 7] = [[0, 0, 0], [0, 30, 1], [11, 0, 2], [11, 30, 0], [0, 15, 1], [5, 0, 2], [6, 14, 0]];
    #[rustfmt::skip]
    const WANG: [f64; 7] = [0.993890402123062, 0.9882615472339953, 0.990962344783835, 0.9884497878980187, 0.9852767931615126, 0.9886264216995443, 0.9882847865198925];
    #[rustfmt::skip]
    const UNIFORM: [f64; 7] = [0.9901065051082987, 0.987110961596681, 0.9876929062449382, 0.9899295335524765, 0.9882142768885641, 0.9868940028770281, 0.988146456399035];
    let check = |map: &Array3<f64>, expected: &[f64], mean| {
        assert_eq!(map.dim(), (12, 31, 3));
        PLACES.iter().zip(expected).for_each(|(&place, &expected)| assert_close(map[place], expected, TOLERANCE));
        assert_close(map.mean().unwrap(), mean, TOLERANCE);
    };
    let (a, b) = float_pictures(12, 31, 3);
    check(&Ssim::default().map(&a, &b).unwrap(), &WANG, 0.9871393185557502);
    // Integer samples as they are.
    let (a, b) = pictures(12, 31, 3, 8);
    let (a, b) = (a.mapv(|sample| sample as u8), b.mapv(|sample| sample as u8));
    check(&Ssim { data_range: 255.0, ..uniform(7) }.map(&a, &b).unwrap(), &UNIFORM, 0.9873017237063996);
}

// def luma(x, bits):  # rgb2ycbcr on integers, halves up
//     return (x @ np.array([65481, 128553, 24966]) + 127500) // 255000 + 16 * (1 if bits == 8 else 257)
// for h, w, channels, bits in [(24, 17, 3, 8), (24, 17, 3, 16), (19, 40, 1, 8), (19, 40, 1, 16)]:
//     a, b = [np.broadcast_to(v, (h, w, 3)) for v in pictures(h, w, channels, bits)]
//     peak = 2**bits - 1
//     x, y, p, q = a / peak, b / peak, luma(a, bits) / peak, luma(b, bits) / peak
//     print(psnr(x, y, data_range=1), ssim(x, y, data_range=1, channel_axis=-1, **wang))          # rgb
//     print(psnr(p, q, data_range=1), ssim(p, q, data_range=1, **wang))                           # y
//     print(psnr(x, y, data_range=1), ssim(x, y, data_range=2, channel_axis=-1, win_size=7))      # spanet
/// PSNR and SSIM of one protocol.
type Figures = (f64, f64);
/// Height, width, channels, bits.
type Format = (usize, usize, usize, u32);

#[rustfmt::skip]
const PROTOCOLS: [(Format, [Figures; 3]); 4] = [
    ((24, 17, 3, 8), [(26.880990484562428, 0.9874903819798485), (30.265829497556492, 0.9834700791534811), (26.880990484562428, 0.98789412561514)]),
    ((24, 17, 3, 16), [(26.932480328606452, 0.9365907134454664), (30.219484186086557, 0.960805891287821), (26.932480328606452, 0.9430484631280923)]),
    ((19, 40, 1, 8), [(26.898822858359118, 0.9877515303400725), (28.221167604435955, 0.9878113620115911), (26.898822858359118, 0.9878222448702427)]),
    ((19, 40, 1, 16), [(26.85538242587294, 0.9386063322850994), (28.177280822568015, 0.939226680674482), (26.85538242587294, 0.9443238643485291)]),
];

#[test]
fn protocols_on_arrays() {
    for ((height, width, channels, bits), expected) in PROTOCOLS {
        let (a, b) = pictures(height, width, channels, bits);
        let peak = f64::from(2_u32.pow(bits) - 1);
        let (a, b) = (a.mapv(|sample| f64::from(sample) / peak), b.mapv(|sample| f64::from(sample) / peak));
        for (&protocol, (psnr, ssim)) in Protocol::ALL.iter().zip(expected) {
            // Luma of arrays is that of 8 bits.
            if protocol == Protocol::Y && bits == 16 {
                continue;
            }
            let scores = protocol.score(&a, &b).unwrap();
            assert_close(scores.psnr, psnr, 1e-11);
            assert_close(scores.ssim, ssim, TOLERANCE);
            // Rounding of the samples to f32 shows in the figures.
            let scores = protocol.score(&a.mapv(|sample| sample as f32), &b.mapv(|sample| sample as f32)).unwrap();
            assert_close(scores.psnr, psnr, 1e-5);
            assert_close(scores.ssim, ssim, 1e-6);
        }
    }
}

#[cfg(feature = "image")]
#[test]
fn protocols_on_images() {
    use image::{DynamicImage, ImageBuffer};

    let image = |samples: Array3<u16>, bits: u32| -> DynamicImage {
        let (height, width, channels) = samples.dim();
        let (width, height) = (width as u32, height as u32);
        let wide = samples.into_raw_vec_and_offset().0;
        let narrow: Vec<u8> = wide.iter().map(|&sample| sample as u8).collect();
        match (channels, bits) {
            (3, 8) => DynamicImage::ImageRgb8(ImageBuffer::from_vec(width, height, narrow).unwrap()),
            (3, _) => DynamicImage::ImageRgb16(ImageBuffer::from_vec(width, height, wide).unwrap()),
            (_, 8) => DynamicImage::ImageLuma8(ImageBuffer::from_vec(width, height, narrow).unwrap()),
            (_, _) => DynamicImage::ImageLuma16(ImageBuffer::from_vec(width, height, wide).unwrap()),
        }
    };
    for ((height, width, channels, bits), expected) in PROTOCOLS {
        let (a, b) = pictures(height, width, channels, bits);
        let (a, b) = (image(a, bits), image(b, bits));
        for (&protocol, (psnr, ssim)) in Protocol::ALL.iter().zip(expected) {
            let scores = protocol.score(&a, &b).unwrap();
            assert_close(scores.psnr, psnr, 1e-11);
            assert_close(scores.ssim, ssim, TOLERANCE);
        }
    }
}
