use super::{Bytes, BytesKernel, LANES, PIXELS, Row, run};
use crate::Isa;

/// Every method on two rows, as one list to compare.
struct Probe<'a>(&'a Row, &'a Row);

impl BytesKernel for Probe<'_> {
    type Output = Vec<Row>;

    #[inline(always)]
    fn run<B: Bytes>(self) -> Vec<Row> {
        let (x, y) = (B::load(self.0), B::load(self.1));
        let condition = x.at_least(y);
        let results = [
            x,
            B::splat(200),
            x.min(y),
            x.max(y),
            x.add_saturating(y),
            x.count(condition),
            x.or(y),
            B::splat(9).count(x.equals(y)),
            B::splat(9).count(condition),
            x.or_else(condition, y),
            x.signed(),
            B::splat(9).count(x.signed().above_signed(y.signed())),
        ];
        results.map(|result| stored(result)).to_vec()
    }
}

fn stored<B: Bytes>(value: B) -> Row {
    let mut row = [7; LANES];
    value.store(&mut row);
    row
}

#[test]
fn instruction_sets_do_as_the_methods_say() {
    for shift in 0..=255u8 {
        let x: Row = std::array::from_fn(|lane| (4 * lane) as u8);
        let y: Row = std::array::from_fn(|lane| (4 * lane) as u8 ^ shift);
        let each = |f: fn(u8, u8) -> u8| -> Row { std::array::from_fn(|lane| f(x[lane], y[lane])) };
        let expected = [
            x,
            [200; LANES],
            each(u8::min),
            each(u8::max),
            each(u8::saturating_add),
            each(|x, y| x.wrapping_add(u8::from(x >= y))),
            each(|x, y| x | y),
            each(|x, y| 9 + u8::from(x == y)),
            each(|x, y| 9 + u8::from(x >= y)),
            each(|x, y| if x >= y { x } else { y }),
            each(|x, _| x ^ 128),
            each(|x, y| 9 + u8::from(x > y)),
        ];
        for isa in Isa::available() {
            assert_eq!(run(isa, Probe(&x, &y)), expected, "{isa:?}, shift {shift}");
        }
    }
}

struct Luma<'a>(&'a [u8; PIXELS]);

impl BytesKernel for Luma<'_> {
    type Output = Row;

    #[inline(always)]
    fn run<B: Bytes>(self) -> Row {
        stored(B::luma(self.0))
    }
}

#[test]
fn luma_is_exact() {
    // Every red and green beside 16 values of blue, the smallest and the largest among them.
    let blues = (0..=255).step_by(17);
    let mut colours = (0..=255).flat_map(|r| {
        (0..=255).flat_map({
            let blues = blues.clone();
            move |g| blues.clone().map(move |b| [r, g, b])
        })
    });
    loop {
        let some: Vec<[u8; 3]> = colours.by_ref().take(LANES).collect();
        let Ok(pixels) = some.concat().try_into() else { break };
        for isa in Isa::available() {
            for (got, pixel) in run(isa, Luma(&pixels)).into_iter().zip(&some) {
                let [r, g, b] = pixel.map(u32::from);
                assert_eq!(u32::from(got), (299 * r + 587 * g + 114 * b) / 1000, "{isa:?} {pixel:?}");
            }
        }
    }
}
