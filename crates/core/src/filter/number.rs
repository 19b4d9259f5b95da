//! Numbers as JSON writes them, compared by what they stand for.

use std::borrow::Cow;
use std::cmp::Ordering;

/// Exponents beyond this count as this. It keeps the arithmetic below inside `i64`.
const EXPONENT_MAX: i64 = 1_000_000_000_000_000;

/// An exact decimal number: 0.DIGITS × 10^`magnitude`.
///
/// Never a float: `9007199254740993` is not `9007199254740992`, and `4.50` is `4.5`.
#[derive(Debug, Clone)]
pub(crate) struct Decimal<'a> {
    is_negative: bool,
    magnitude: i64,
    /// From the first to the last digit that is not 0; a point between them means nothing. Empty
    /// for zero.
    digits: Cow<'a, str>,
}

impl<'a> Decimal<'a> {
    /// Reads a number from JSON text, in time linear in its length.
    pub(crate) fn parse(text: &'a str) -> Self {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)),
            None => (text, 0),
        };
        let digits = mantissa
            .trim_start_matches(['0', '.'])
            .trim_end_matches(['0', '.']);
        if digits.is_empty() {
            return Self {
                is_negative: false,
                magnitude: 0,
                digits: Cow::Borrowed(""),
            };
        }
        Self {
            is_negative,
            magnitude: exponent + leading_power(mantissa),
            digits: Cow::Borrowed(digits),
        }
    }

    /// The same number, on its own.
    pub(crate) fn into_owned(self) -> Decimal<'static> {
        Decimal {
            is_negative: self.is_negative,
            magnitude: self.magnitude,
            digits: Cow::Owned(self.digits.into_owned()),
        }
    }

    /// How many digits it has, without zeros at either end.
    pub(crate) fn significant_digits(&self) -> usize {
        self.each_digit().count()
    }

    fn each_digit(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits.bytes().filter(|byte| *byte != b'.')
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

/// How many digits stand before the point, counted from the first that is not 0.
fn leading_power(mantissa: &str) -> i64 {
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let power = match whole.is_empty() {
        false => i64::try_from(whole.len()),
        true => i64::try_from(fraction.len() - fraction.trim_start_matches('0').len())
            .map(|zeros| -zeros),
    };
    power.expect("no text in memory is that long")
}

fn read_exponent(text: &str) -> i64 {
    let out_of_range = match text.starts_with('-') {
        true => -EXPONENT_MAX,
        false => EXPONENT_MAX,
    };
    text.parse()
        .unwrap_or(out_of_range)
        .clamp(-EXPONENT_MAX, EXPONENT_MAX)
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.sign();
        sign.cmp(&other.sign()).then_with(|| {
            let size = self
                .magnitude
                .cmp(&other.magnitude)
                .then_with(|| self.each_digit().cmp(other.each_digit()));
            match sign < 0 {
                true => size.reverse(),
                false => size,
            }
        })
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_ordered_by_what_they_stand_for() {
        let ascending = [
            &["-1e400"][..],
            &["-9007199254740993"],
            &["-9007199254740992"],
            &["-10", "-1e1", "-10.00"],
            &["-0.5"],
            &["0", "-0", "0.0", "0e7", "-0.000E-3"],
            &["1e-400"],
            &["0.00123", "1.23e-3", "123E-5"],
            &["0.1", "1e-1", "0.10"],
            &["0.10000000000000000001"],
            &["4.5", "4.50", "45e-1"],
            &["10", "1e1", "10.0", "0.1e+2"],
            &["12"],
            &["100", "1e2"],
            &["120"],
            &["9007199254740992"],
            &["9007199254740993"],
            &["18446744073709551616"],
            &["18446744073709551617"],
            &["1e400", "10e399"],
            &["1e999999999999999999999"],
        ];
        for (rank, group) in ascending.iter().enumerate() {
            for (other_rank, other_group) in ascending.iter().enumerate() {
                for (a, b) in group
                    .iter()
                    .flat_map(|a| other_group.iter().map(move |b| (a, b)))
                {
                    let order = Decimal::parse(a).cmp(&Decimal::parse(b));
                    assert_eq!(order, rank.cmp(&other_rank), "{a} against {b}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_integers(a: i128, b: i128) {
            let (x, y) = (a.to_string(), b.to_string());
            prop_assert_eq!(Decimal::parse(&x).cmp(&Decimal::parse(&y)), a.cmp(&b));
        }

        #[test]
        fn it_agrees_with_floats_that_differ(a in -1e12..1e12_f64, b in -1e12..1e12_f64) {
            let (x, y) = (format!("{a}"), format!("{b:e}"));
            prop_assert_eq!(Decimal::parse(&x).cmp(&Decimal::parse(&y)), a.total_cmp(&b));
        }
    }
}
