//! Huffman codes of a JPEG scan, read without keeping what they code (ITU-T T.81, annexes C and F.2).

/// The data do not follow the code, or end before all is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

/// Codes of 1 to 16 bits. Those of one length are numbers in a row, greater than all shorter ones filled up with ones.
#[derive(Clone)]
pub(super) struct Table {
    /// For each length, the first 16 bits that begin with no code so long or shorter.
    ends: [u32; 16],
    /// For each length, what its codes are less than the places of their symbols.
    offsets: [i32; 16],
    symbols: Vec<u8>,
}

impl Table {
    /// From the numbers of codes of 1 to 16 bits, and the symbols in the order of their codes.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { ends: [0; 16], offsets: [0; 16], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0_u32);
        for (index, &count) in counts.iter().enumerate() {
            table.offsets[index] = place as i32 - code as i32;
            code += u32::from(count);
            place += u32::from(count);
            table.ends[index] = code << (15 - index);
            code <<= 1;
        }
        // No more codes than there are, and a symbol for each.
        (table.ends[15] <= 1 << 16 && table.symbols.len() == place as usize).then_some(table)
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
        let next = (self.held >> 48) as u32;
        let index = table.ends.iter().position(|&end| next < end).ok_or(Broken)?;
        let code = self.take(index as u32 + 1)?;
        let place = code as i32 + table.offsets[index];
        table.symbols.get(place as usize).copied().ok_or(Broken)
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
