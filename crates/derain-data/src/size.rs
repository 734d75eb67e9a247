//! How large a picture is, without its pixels.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use crate::Error;

/// How much of a file is read first, in bytes: the headers of most end before. Where they do not, more is, by the
/// factor.
const FIRST: usize = 4 << 10;
const FACTOR: usize = 16;
/// No header is longer: a film that is called .png must not be read whole.
const MOST: usize = FIRST * FACTOR * FACTOR * FACTOR;

/// Width and height of a picture as it is seen, by its header alone; of many files, much faster than loading them. The
/// pixels may still be damaged, or of a kind that [`load_picture`](crate::load_picture) refuses.
///
/// An orientation that stands behind the pixels, as some PNGs have it, is not seen: width and height are then those of
/// the stored pixels.
///
/// # Errors
/// When the file cannot be read, or its first 16 MiB are the beginning of no picture: some TIFFs have their header
/// behind the pixels.
pub fn picture_size(path: impl AsRef<Path>) -> Result<(u32, u32), Error> {
    let path = path.as_ref();
    // Pipes and devices could go on for ever.
    if !path.metadata().map_err(Error::io("read", path))?.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let (mut bytes, mut wanted) = (Vec::with_capacity(FIRST), FIRST);
    loop {
        let more = (wanted - bytes.len()) as u64;
        file.by_ref().take(more).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        match in_header(&bytes) {
            Ok((width, height)) if width > 0 && height > 0 => return Ok((width, height)),
            Ok((width, height)) => return Err(Error::Empty { path: path.to_owned(), width, height }),
            Err(source) if bytes.len() < wanted || wanted >= MOST => {
                return Err(Error::Decode { path: path.to_owned(), source });
            }
            Err(_) => wanted *= FACTOR,
        }
    }
}

fn in_header(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let (width, height) = decoder.dimensions();
    Ok(match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use image::RgbImage;

    use super::{FIRST, picture_size};
    use crate::{Error, load_picture};

    #[test]
    fn it_is_that_of_the_loaded_picture() {
        let mut compared = 0;
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).unwrap() {
            let path = entry.unwrap().path();
            if let Ok(picture) = load_picture(&path) {
                let size = (picture.image.width(), picture.image.height());
                assert_eq!(picture_size(&path).unwrap(), size, "{}", path.display());
                compared += 1;
            }
        }
        assert!(compared > 20, "{compared}");
    }

    /// A JPEG of 2x1 pixels whose camera was held upright, with a comment before its header that the first bytes read
    /// do not get past.
    #[test]
    fn long_headers_are_read_and_orientations_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        RgbImage::new(2, 1).save(&path).unwrap();
        let plain = fs::read(&path).unwrap();
        assert_eq!(picture_size(&path).unwrap(), (2, 1));
        let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let comment = [b"\xFF\xFE\x20\x02".as_slice(), &[b' '; 0x2000]].concat();
        assert!(comment.len() > FIRST);
        fs::write(&path, [&plain[..2], &comment, exif, &plain[2..]].concat()).unwrap();
        assert_eq!(load_picture(&path).unwrap().image.height(), 2);
        assert_eq!(picture_size(&path).unwrap(), (1, 2));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let size = |content: &[u8]| {
            let path = folder.path().join("a.png");
            fs::write(&path, content).unwrap();
            picture_size(path)
        };
        for content in [b"".as_slice(), b"no picture", b"\x89PNG\r\n\x1a\n", &[7; FIRST], &[7; 3 * FIRST]] {
            assert!(matches!(size(content), Err(Error::Decode { .. })), "{} bytes", content.len());
        }
        assert!(matches!(picture_size(folder.path()), Err(Error::NotAFile { .. })));
        assert!(matches!(picture_size(Path::new("nowhere.png")), Err(Error::Io { .. })));
    }
}
