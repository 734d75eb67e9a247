//! What a camera noted about a picture: when, where, with which lens and settings (EXIF 2.32).

use image::metadata::Orientation;

/// JPEG files begin the block with this, and so do some writers of WebP.
const JPEG_HEADER: &[u8] = b"Exif\0\0";

/// How the stored pixels must be turned, and the block that says of the turned ones that they are
/// upright and links to no thumbnail, which would show the picture as it was. Sizes that a camera
/// noted stay those of the stored pixels. A block that is no EXIF is dropped.
pub(crate) fn upright(mut block: Vec<u8>) -> (Orientation, Option<Vec<u8>>) {
    if block.starts_with(JPEG_HEADER) {
        block.drain(..JPEG_HEADER.len());
    }
    let orientation = Orientation::remove_from_exif_chunk(&mut block).unwrap_or(Orientation::NoTransforms);
    let is_whole = unlink_thumbnail(&mut block).is_some();
    (orientation, is_whole.then_some(block))
}

/// A block is a TIFF whose first list of tags is the picture's, and links to the thumbnail's. The
/// thumbnail's bytes stay where they are, since tags point to places in the block.
fn unlink_thumbnail(block: &mut [u8]) -> Option<()> {
    const ENTRY_LEN: usize = 12;
    const LINK_LEN: usize = 4;
    let little_endian = match block.first_chunk()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let first = *block.get(4..)?.first_chunk()?;
    let first = if little_endian { u32::from_le_bytes(first) } else { u32::from_be_bytes(first) };
    let list = block.get_mut(usize::try_from(first).ok()?..)?;
    let count = *list.first_chunk()?;
    let count = if little_endian { u16::from_le_bytes(count) } else { u16::from_be_bytes(count) };
    let link = list.get_mut(2 + ENTRY_LEN * usize::from(count)..)?;
    // Some writers leave a link out that would lead nowhere.
    link.get_mut(..LINK_LEN).unwrap_or_default().fill(0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::upright;
    use image::metadata::Orientation;

    /// One tag, 274, of value 6; then the link to a list at 26 that has no tags.
    const LITTLE_ENDIAN: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x1A\0\0\0\0\0";
    const BIG_ENDIAN: &[u8] = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\x1A\0\0";

    #[test]
    fn the_orientation_is_taken_and_the_thumbnail_unlinked() {
        for block in [LITTLE_ENDIAN, BIG_ENDIAN] {
            let mut expected = block.to_vec();
            expected[18..20].copy_from_slice(if block == LITTLE_ENDIAN { b"\x01\0" } else { b"\0\x01" });
            expected[22..26].fill(0);
            for header in [b"".as_slice(), b"Exif\0\0"] {
                let (orientation, kept) = upright([header, block].concat());
                assert_eq!((orientation, kept), (Orientation::Rotate90, Some(expected.clone())));
            }
            let without_link = block[..22].to_vec();
            assert_eq!(upright(without_link).1, Some(expected[..22].to_vec()));
        }
    }

    #[test]
    fn what_is_cut_within_its_tags_is_dropped() {
        for end in 0..22 {
            assert_eq!(upright(LITTLE_ENDIAN[..end].to_vec()).1, None, "{end}");
        }
        assert_eq!(upright(b"II*\0\xFF\xFF\xFF\xFF\0\0".to_vec()), (Orientation::NoTransforms, None));
    }
}
