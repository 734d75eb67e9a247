//! Amounts as people read them.

/// Units of 1024 each, as in IEC 80000-13.
const UNITS: [&str; 5] = ["byte", "KiB", "MiB", "GiB", "TiB"];

/// `1151 bytes`, `1.50 KiB`, `2.00 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    // What would be rounded to 1024 is 1 of the next.
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1023.995 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    if unit == 0 { counted(bytes as usize, UNITS[0]) } else { format!("{amount:.2} {}", UNITS[unit]) }
}

/// `1 frame`, `2 frames`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{bytes, counted};

    #[test]
    fn amounts_read_well() {
        let shown = [0, 1, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, 2 << 30, u64::MAX].map(bytes);
        let expected = [
            "0 bytes",
            "1 byte",
            "1023 bytes",
            "1.00 KiB",
            "1.50 KiB",
            "1.00 MiB",
            "1.00 MiB",
            "2.00 GiB",
            "16777216.00 TiB",
        ];
        assert_eq!(shown, expected);
        assert_eq!([0, 1, 2].map(|count| counted(count, "frame")), ["0 frames", "1 frame", "2 frames"]);
    }
}
