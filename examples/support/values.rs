//! Values of options that are checked while the command line is read, so that errors name the option as it was typed
//! and the status is 2.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::RangedU64ValueParser;
use derain::data::Error;

/// A number in a range, for clap's `value_parser`, which has none for fractions.
pub(crate) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("a number from {} to {} is needed", range.start(), range.end())),
    }
}

/// How many, at least one.
pub(crate) fn from_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// A finite number above 0.
pub(crate) fn above_zero(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a number above 0 is needed".to_owned())
}

/// What a library reads by its name, with its word on what there is and none on what it calls the option.
pub(crate) fn named<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| match error {
        Error::InvalidOption { expected, .. } => format!("{expected} is needed"),
        error => super::describe(&error),
    })
}
