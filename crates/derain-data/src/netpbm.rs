//! Binary PGM and PPM. `image` writes 16-bit pictures only as PAM, which fewer programs read.

use image::{ColorType, DynamicImage};

use crate::pixels::pixels_of_any;

/// P5 for grey, P6 for colour; samples above 8 bits are big-endian pairs.
///
/// The caller has checked that the picture is opaque and of at most 16 bits.
pub(crate) fn encode(image: &DynamicImage) -> Vec<u8> {
    let magic = if image.color().has_color() { "P6" } else { "P5" };
    let deep = matches!(image.color(), ColorType::L16 | ColorType::Rgb16);
    let maximum = if deep { u16::MAX } else { u16::from(u8::MAX) };
    let mut bytes = format!("{magic}\n{} {}\n{maximum}\n", image.width(), image.height()).into_bytes();
    if deep {
        for pair in pixels_of_any(image).chunks_exact(2) {
            bytes.extend_from_slice(&u16::from_ne_bytes([pair[0], pair[1]]).to_be_bytes());
        }
    } else {
        bytes.extend_from_slice(pixels_of_any(image));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::encode;
    use image::{DynamicImage, GrayImage, ImageBuffer, Rgb};

    #[test]
    fn headers_and_byte_order() {
        let grey = DynamicImage::ImageLuma8(GrayImage::from_vec(2, 1, vec![3, 4]).unwrap());
        assert_eq!(encode(&grey), b"P5\n2 1\n255\n\x03\x04");
        let deep: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_vec(1, 1, vec![1, 0x0203, 0xFFFF]).unwrap();
        assert_eq!(encode(&deep.into()), b"P6\n1 1\n65535\n\x00\x01\x02\x03\xFF\xFF");
    }
}
