//! The codes of one block, followed without keeping its coefficients (ITU-T T.81, F.2.2, G.1.2 and G.2).

use super::huffman::{Bits, Broken, Table};

/// The last coefficient of a block, in zigzag order.
const LAST: u8 = 63;

/// What a scan holds of each block.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub(super) first: u8,
    pub(super) last: u8,
    /// One more bit of coefficients that a scan before has begun.
    pub(super) refines: bool,
}

/// A component's tables in a scan.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    pub(super) dc: Option<&'a Table>,
    pub(super) ac: Option<&'a Table>,
}

fn table(table: Option<&Table>) -> Result<&Table, Broken> {
    table.ok_or(Broken)
}

/// A block of a sequential frame.
pub(super) fn sequential(bits: &mut Bits, codes: Codes) -> Result<(), Broken> {
    dc(bits, codes)?;
    let ac = table(codes.ac)?;
    let mut at = 1;
    while at <= LAST {
        let (zeros, size) = run(bits, ac)?;
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => {
                at += zeros;
                coefficient(bits, at, LAST, size)?;
                at += 1;
            }
        }
    }
    Ok(())
}

/// A block of a progressive frame. `nonzero` has a bit for each coefficient that scans before have begun;
/// `empty` counts the blocks from here on that have nothing new in this band.
pub(super) fn progressive(
    bits: &mut Bits,
    codes: Codes,
    band: Band,
    nonzero: &mut u64,
    empty: &mut u32,
) -> Result<(), Broken> {
    match (band.first, band.refines) {
        (0, false) => dc(bits, codes),
        (0, true) => bits.take(1).map(drop),
        (_, false) => begin(bits, table(codes.ac)?, band, nonzero, empty),
        (_, true) => refine(bits, table(codes.ac)?, band, nonzero, empty),
    }
}

fn dc(bits: &mut Bits, codes: Codes) -> Result<(), Broken> {
    let size = bits.symbol(table(codes.dc)?)?;
    bits.take(u32::from(size)).map(drop)
}

/// Zeros to skip, and the size of the coefficient after them.
fn run(bits: &mut Bits, ac: &Table) -> Result<(u8, u8), Broken> {
    bits.symbol(ac).map(|symbol| (symbol >> 4, symbol & 15))
}

fn coefficient(bits: &mut Bits, at: u8, last: u8, size: u8) -> Result<(), Broken> {
    if at > last { Err(Broken) } else { bits.take(u32::from(size)).map(drop) }
}

fn begin(bits: &mut Bits, ac: &Table, band: Band, nonzero: &mut u64, empty: &mut u32) -> Result<(), Broken> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut at = band.first;
    while at <= band.last {
        let (zeros, size) = run(bits, ac)?;
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => {
                *empty = (1 << zeros) - 1 + bits.take(u32::from(zeros))?;
                break;
            }
            _ => {
                at += zeros;
                coefficient(bits, at, band.last, size)?;
                *nonzero |= 1 << at;
                at += 1;
            }
        }
    }
    Ok(())
}

fn refine(bits: &mut Bits, ac: &Table, band: Band, nonzero: &mut u64, empty: &mut u32) -> Result<(), Broken> {
    let mut at = band.first;
    while at <= band.last && *empty == 0 {
        let (zeros, size) = run(bits, ac)?;
        match (zeros, size) {
            (15, 0) | (_, 1) => {
                bits.take(u32::from(size))?; // the sign
                at = past_zeros(bits, *nonzero, at..=band.last, zeros)?;
                if size == 1 {
                    if at > band.last {
                        return Err(Broken);
                    }
                    *nonzero |= 1 << at;
                }
                at += 1;
            }
            (_, 0) => *empty = (1 << zeros) + bits.take(u32::from(zeros))?,
            _ => return Err(Broken), // a new coefficient is 1 or −1
        }
    }
    if *empty > 0 {
        past_zeros(bits, *nonzero, at..=band.last, u8::MAX)?;
        *empty -= 1;
    }
    Ok(())
}

/// Where the zero after `zeros` zeros is; what is not zero on the way has a bit each.
fn past_zeros(bits: &mut Bits, nonzero: u64, band: std::ops::RangeInclusive<u8>, mut zeros: u8) -> Result<u8, Broken> {
    let end = *band.end() + 1;
    for at in band {
        if nonzero >> at & 1 == 1 {
            bits.take(1)?;
        } else if zeros == 0 {
            return Ok(at);
        } else {
            zeros -= 1;
        }
    }
    Ok(end)
}
