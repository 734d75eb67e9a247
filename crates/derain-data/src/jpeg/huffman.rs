//! Huffman codes of a JPEG scan, read without keeping what they code (ITU-T T.81, annexes C and F.2).

/// The data do not follow the code, or end before all is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

/// For each 16 bits that may come next, the length of the code that they begin with, and its symbol.
#[derive(Clone)]
pub(super) struct Table(Vec<(u8, u8)>);

impl Table {
    /// From the numbers of codes of 1 to 16 bits, and the symbols in the order of their codes.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let lengths = (1..=16_u8).zip(counts).flat_map(|(length, &count)| (0..count).map(move |_| length));
        let mut table = Vec::with_capacity(1 << 16);
        for (length, &symbol) in lengths.zip(symbols) {
            table.resize(table.len() + (1 << (16 - length)), (length, symbol));
        }
        if table.len() > 1 << 16 {
            return None; // more codes than there are
        }
        table.resize(1 << 16, (0, 0));
        Some(Self(table))
    }
}

/// The bits of a stretch of coded data without markers, the first bit of a byte first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next bits, from the top.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let (byte, rest) = match *self.bytes {
                [0xFF, 0x00, ref rest @ ..] => (0xFF, rest), // a stuffed zero
                [0xFF, ..] | [] => return,                   // fill bytes before a marker
                [byte, ref rest @ ..] => (byte, rest),
            };
            self.bytes = rest;
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Broken> {
        if self.count < 16 {
            self.fill();
        }
        let (length, symbol) = table.0[(self.held >> 48) as usize];
        if length == 0 {
            return Err(Broken);
        }
        self.take(u32::from(length))?;
        Ok(symbol)
    }

    /// The next `count` <= 16 bits as a number.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Broken> {
        if self.count < count {
            self.fill();
        }
        if self.count < count || count > 16 {
            return Err(Broken);
        }
        let value = (self.held >> 48) as u32 >> (16 - count);
        self.held <<= count;
        self.count -= count;
        Ok(value)
    }

    /// Whole bytes that nothing has asked for.
    pub(super) fn left(&self) -> &'a [u8] {
        self.bytes
    }
}
