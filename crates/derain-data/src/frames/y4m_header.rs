//! The first line of a YUV4MPEG2 file.

use super::colour::{Encoding, Matrix, Range, Siting};

/// What every file starts with.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";

/// Size and layout of every frame.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) size: (u32, u32),
    pub(super) encoding: Encoding,
    /// Whether two chroma planes follow the luma plane.
    pub(super) chroma: bool,
}

impl Header {
    /// Reads a line without its line feed; says what is wrong with it.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let fields = line.strip_prefix(MAGIC).ok_or("it does not start with \"YUV4MPEG2 \"")?;
        let fields = str::from_utf8(fields).map_err(|_| "its header is not text")?;
        let (mut width, mut height) = (None, None);
        let mut layout = "420jpeg";
        let mut range = Range::Limited;
        for field in fields.split(' ').filter(|field| !field.is_empty()) {
            // Other fields (rate, interlacing, pixel aspect) do not change which pixels there are.
            if let Some(number) = field.strip_prefix('W') {
                width = Some(side("width", number)?);
            } else if let Some(number) = field.strip_prefix('H') {
                height = Some(side("height", number)?);
            } else if let Some(name) = field.strip_prefix('C') {
                layout = name;
            } else if let Some(name) = field.strip_prefix("XCOLORRANGE=") {
                range = match name {
                    "FULL" => Range::Full,
                    "LIMITED" => Range::Limited,
                    other => return Err(format!("its colour range {other:?} is neither FULL nor LIMITED")),
                };
            }
        }
        let size = width.zip(height).ok_or("its header lacks the width or the height")?;
        let (across, down, chroma) = match layout {
            "420" | "420jpeg" => (Siting::Between, Siting::Between, true),
            "420mpeg2" => (Siting::First, Siting::Between, true),
            "420paldv" => (Siting::First, Siting::First, true),
            "422" => (Siting::First, Siting::Every, true),
            "444" => (Siting::Every, Siting::Every, true),
            "mono" => (Siting::Every, Siting::Every, false),
            other => {
                let known = "420, 420jpeg, 420mpeg2, 420paldv, 422, 444 or mono";
                return Err(format!("its samples are C{other}: convert it to 8 bits, {known}"));
            }
        };
        Ok(Self { size, encoding: Encoding { matrix: Matrix::BT601, range, bits: 8, across, down }, chroma })
    }

    /// Bytes of the luma plane and of each chroma plane; `None` where a computer cannot count them.
    pub(super) fn plane_bytes(&self) -> Option<[u64; 2]> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let luma = (width as u64).checked_mul(height as u64)?;
        let across = self.encoding.across.samples(width) as u64;
        let down = self.encoding.down.samples(height) as u64;
        Some([luma, if self.chroma { across.checked_mul(down)? } else { 0 }])
    }
}

fn side(name: &str, number: &str) -> Result<u32, String> {
    match number.parse() {
        Ok(0) | Err(_) => Err(format!("its {name} is {number:?}")),
        Ok(side) => Ok(side),
    }
}

#[cfg(test)]
mod tests {
    use super::Header;
    use crate::frames::colour::{Range, Siting};

    #[test]
    fn fields_come_in_any_order_and_unknown_ones_are_skipped() {
        let header = Header::parse(b"YUV4MPEG2 H3 F30:1 Ip XYSCSS=422 A1:1 C422 XCOLORRANGE=FULL W5").expect("header");
        assert_eq!((header.size, header.chroma), ((5, 3), true));
        assert_eq!((header.encoding.across, header.encoding.down), (Siting::First, Siting::Every));
        assert_eq!(header.encoding.range, Range::Full);
        assert_eq!(header.plane_bytes(), Some([15, 9]));
    }

    #[test]
    fn the_default_is_limited_420() {
        let header = Header::parse(b"YUV4MPEG2 W5 H3").expect("header");
        assert_eq!(header.encoding.range, Range::Limited);
        assert_eq!(header.plane_bytes(), Some([15, 6]));
        assert_eq!(Header::parse(b"YUV4MPEG2 W5 H3 Cmono").expect("header").plane_bytes(), Some([15, 0]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            (&b"YUV4MPEG W5 H3"[..], "YUV4MPEG2"),
            (b"YUV4MPEG2 W5", "height"),
            (b"YUV4MPEG2 W0 H3", "width"),
            (b"YUV4MPEG2 W-5 H3", "-5"),
            (b"YUV4MPEG2 W99999999999 H3", "99999999999"),
            (b"YUV4MPEG2 W5 H3 C420p10", "C420p10"),
            (b"YUV4MPEG2 W5 H3 C444alpha", "C444alpha"),
            (b"YUV4MPEG2 W5 H3 XCOLORRANGE=SOME", "SOME"),
            (b"YUV4MPEG2 W5 H\xff", "text"),
        ] {
            let message = Header::parse(line).expect_err("refused");
            assert!(message.contains(word), "{message}");
        }
    }
}
