//! Whether the scans of a JPEG hold all the blocks that its frame header announces.
//!
//! Of a damaged scan decoders fill what is missing with grey, or go on with what the broken code
//! happens to mean, and say nothing. So the codes are followed here once. Nothing is kept of them
//! but which coefficients are not zero, since scans that refine code them otherwise.

use super::block::{self, Band, Codes};
use super::huffman::{Bits, Table};

/// Some encoders, of webcams above all, leave bytes behind their last code. Of more nobody could say that they are not
/// lost codes, though some drones write data of their own there.
const LEFT_OVER: usize = 16;

/// The tables of the DHT segments by their number, and the interval of the DRI segment in units.
#[derive(Default)]
pub(super) struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Takes up a DHT segment (ITU-T T.81, B.2.4.2). A table that makes no sense is left out.
    pub(super) fn define(&mut self, mut segment: &[u8]) {
        while let Some((&head, rest)) = segment.split_first() {
            let Some((counts, rest)) = rest.split_first_chunk::<16>() else { return };
            let symbols = counts.iter().map(|&count| usize::from(count)).sum::<usize>().min(rest.len());
            let (symbols, rest) = rest.split_at(symbols);
            let class = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            if let Some(table) = class.get_mut(usize::from(head & 15)) {
                *table = Table::new(counts, symbols);
            }
            segment = rest;
        }
    }
}

struct Component {
    id: u8,
    /// Blocks of an interleaved unit, across and down.
    sampling: (usize, usize),
    /// Blocks that hold pixels.
    blocks: (usize, usize),
    /// Blocks in a row, those that fill the last unit included.
    stride: usize,
    /// A bit for each coefficient of each block. Empty in sequential frames.
    nonzero: Vec<u64>,
}

/// A frame with Huffman codes, sequential or progressive (ITU-T T.81, B.2.2).
pub(super) struct Frame {
    progressive: bool,
    components: Vec<Component>,
    /// Interleaved units, across and down.
    units: (usize, usize),
    /// Rows of pixels in an interleaved unit.
    unit_height: usize,
}

impl Frame {
    /// From a frame header; `None` for other modes, and for headers that will be refused.
    pub(super) fn new(marker: u8, header: &[u8], max_bytes: u64) -> Option<Self> {
        let number = |at: usize| Some(usize::from(u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?])));
        let (height, width) = (number(1)?, number(3)?);
        let listed = header.get(6..6 + 3 * usize::from(*header.get(5)?))?.chunks_exact(3);
        let sampling = |entry: &[u8]| (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
        let (across, down): (Vec<usize>, Vec<usize>) = listed.clone().map(sampling).unzip();
        let (most_across, most_down) = (*across.iter().max()?, *down.iter().max()?);
        let understood = across.iter().chain(&down).all(|factor| (1..=4).contains(factor));
        let bytes = (width * height * listed.len().min(3)) as u64; // inks become colours
        if !understood || marker > 0xC2 || header[0] != 8 || bytes == 0 || bytes > max_bytes {
            return None;
        }
        let progressive = marker == 0xC2;
        let units = (width.div_ceil(8 * most_across), height.div_ceil(8 * most_down));
        let component = |entry: &[u8]| {
            let (across, down) = sampling(entry);
            let stride = units.0 * across;
            // Samples first, then blocks of them (A.1.1 and A.2.2).
            let samples = ((width * across).div_ceil(most_across), (height * down).div_ceil(most_down));
            Component {
                id: entry[0],
                sampling: (across, down),
                blocks: (samples.0.div_ceil(8), samples.1.div_ceil(8)),
                stride,
                nonzero: vec![0; if progressive { stride * units.1 * down } else { 0 }],
            }
        };
        Some(Self { progressive, components: listed.map(component).collect(), units, unit_height: 8 * most_down })
    }

    /// Where the scan with this header stops making sense, as a row of pixels. `data` goes on to the next
    /// marker that is no restart. What is not understood is the decoder's to refuse.
    pub(super) fn find_damage(&mut self, header: &[u8], tables: &Tables, data: &[u8]) -> Option<usize> {
        let (scan, band) = self.read_header(header, tables)?;
        let alone = scan.len() == 1;
        let &(first, _) = scan.first()?;
        let (across, down) = if alone { self.components[first].blocks } else { self.units };
        let unit_height = if alone { self.unit_height / self.components[first].sampling.1 } else { self.unit_height };
        let mut stretches = split_at_restarts(data);
        let mut bits = Bits::new(stretches.next()?);
        let mut empty = 0;
        for unit in 0..across * down {
            let row = unit / across * unit_height;
            if unit > 0 && tables.restart_interval > 0 && unit % tables.restart_interval == 0 {
                let next = stretches.next().filter(|_| is_padding(bits.left()));
                bits = match next {
                    Some(next) => Bits::new(next),
                    None => return Some((unit - 1) / across * unit_height),
                };
                empty = 0;
            }
            for &(component, codes) in &scan {
                let component = &mut self.components[component];
                let sampling = if alone { (1, 1) } else { component.sampling };
                for index in 0..sampling.0 * sampling.1 {
                    let x = unit % across * sampling.0 + index % sampling.0;
                    let y = unit / across * sampling.1 + index / sampling.0;
                    let followed = match component.nonzero.get_mut(y * component.stride + x) {
                        Some(nonzero) => block::progressive(&mut bits, codes, band, nonzero, &mut empty),
                        None => block::sequential(&mut bits, codes),
                    };
                    if followed.is_err() {
                        return Some(row);
                    }
                }
            }
        }
        // Behind the last unit some encoders write one more restart, and scanners whole strips. With restarts every
        // strip before has been counted.
        let whole = is_padding(bits.left()) && (tables.restart_interval > 0 || stretches.all(is_padding));
        (!whole).then(|| (down - 1) * unit_height)
    }

    /// The scan's components with their codes, and its band (ITU-T T.81, B.2.3).
    fn read_header<'t>(&self, header: &[u8], tables: &'t Tables) -> Option<(Vec<(usize, Codes<'t>)>, Band)> {
        let (&count, rest) = header.split_first()?;
        let (listed, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, bits, ..] = rest else { return None };
        let band = Band { first, last, refines: bits >> 4 > 0 };
        if self.progressive && (last > 63 || first > last || (first == 0) != (last == 0)) {
            return None;
        }
        let with_codes = |entry: &[u8]| {
            let component = self.components.iter().position(|component| component.id == entry[0])?;
            let dc = tables.dc.get(usize::from(entry[1] >> 4))?.as_ref();
            let ac = tables.ac.get(usize::from(entry[1] & 15))?.as_ref();
            let missing = if !self.progressive {
                dc.is_none() || ac.is_none()
            } else if first > 0 {
                ac.is_none()
            } else {
                dc.is_none() && !band.refines
            };
            (!missing).then_some((component, Codes { dc, ac }))
        };
        let scan = listed.chunks_exact(2).map(with_codes).collect::<Option<Vec<_>>>()?;
        Some((scan, band))
    }
}

/// The stretches of coded data between restart markers.
fn split_at_restarts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let restart = data.windows(2).position(|pair| pair[0] == 0xFF && matches!(pair[1], 0xD0..=0xD7));
        rest = restart.map(|at| &data[at + 2..]);
        Some(restart.map_or(data, |at| &data[..at]))
    })
}

/// Whether nothing, little or an even filling is left of a stretch.
fn is_padding(left: &[u8]) -> bool {
    left.len() <= LEFT_OVER || left.iter().all(|byte| *byte == left[0])
}
