//! Writing YUV4MPEG2, for tests and for programs that read nothing else.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use image::RgbImage;

/// Samples of one plane for each pixel of an RGB row.
const PLANES: usize = 3;

/// Writes frames as YUV4MPEG2, 4:4:4, full range, BT.601, 8 bits.
///
/// Reading the file back gives values that differ by at most 2: RGB and YCbCr of 8 bits have no
/// one-to-one mapping. Grey comes back exactly.
pub struct Y4mWriter<W: Write> {
    inner: W,
    size: (u32, u32),
    planes: Vec<u8>,
}

impl<W: Write> fmt::Debug for Y4mWriter<W> {
    /// Without the last frame's samples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Y4mWriter").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the header for frames of `width` x `height` pixels, 25 a second. Frames go to `inner` in
    /// single writes, so it needs no buffer.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::InvalidInput`] if a side is 0; when `inner` fails.
    pub fn new(inner: W, width: u32, height: u32) -> io::Result<Self> {
        Self::with_frame_rate(inner, width, height, [25, 1])
    }

    /// As [`new`](Self::new), with `frames` in `seconds` for `[frames, seconds]`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if a number of the rate is 0.
    pub fn with_frame_rate(mut inner: W, width: u32, height: u32, rate: [u32; 2]) -> io::Result<Self> {
        let invalid = |reason: String| Err(io::Error::new(ErrorKind::InvalidInput, reason));
        let [frames, seconds] = rate;
        if width == 0 || height == 0 {
            return invalid(format!("frames of {width}x{height} have no pixels"));
        }
        if frames == 0 || seconds == 0 {
            return invalid(format!("{frames} frames in {seconds} s is no frame rate"));
        }
        let header = format!("YUV4MPEG2 W{width} H{height} F{frames}:{seconds} Ip A1:1 C444 XCOLORRANGE=FULL\n");
        inner.write_all(header.as_bytes())?;
        Ok(Self { inner, size: (width, height), planes: Vec::new() })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::InvalidInput`] if the frame's size is not the header's; when the writer fails.
    pub fn write(&mut self, frame: &RgbImage) -> io::Result<()> {
        let (found, size) = (frame.dimensions(), self.size);
        if found != size {
            let reason = format!("a frame of {}x{} in a file of {}x{}", found.0, found.1, size.0, size.1);
            return Err(io::Error::new(ErrorKind::InvalidInput, reason));
        }
        let pixels = size.0 as usize * size.1 as usize;
        let line = b"FRAME\n";
        self.planes.clear();
        self.planes.extend_from_slice(line);
        self.planes.resize(line.len() + PLANES * pixels, 0);
        let (luma, chroma) = self.planes[line.len()..].split_at_mut(pixels);
        let (blue, red) = chroma.split_at_mut(pixels);
        for (((pixel, y), u), v) in frame.pixels().zip(luma).zip(blue).zip(red) {
            let [r, g, b] = pixel.0.map(f32::from);
            let grey = 0.299 * r + 0.587 * g + 0.114 * b;
            // Casts saturate.
            *y = (grey + 0.5) as u8;
            *u = (128.5 + (b - grey) / (2.0 * (1.0 - 0.114))) as u8;
            *v = (128.5 + (r - grey) / (2.0 * (1.0 - 0.299))) as u8;
        }
        self.inner.write_all(&self.planes)
    }

    /// The writer that was given.
    pub fn into_inner(self) -> W {
        self.inner
    }
}
