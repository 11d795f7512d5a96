//! Text to time stamps and numbers, column by column.

use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use polars::prelude::arity::unary_elementwise;
use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

/// Microseconds since 1970-01-01 UTC of ISO 8601 text; without an offset it is UTC.
pub(crate) fn micros(text: &str) -> Option<i64> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    let text = text.trim();
    let timestamp = if text.ends_with(']') {
        PARSER.parse_zoned(text).ok()?.timestamp()
    } else {
        PARSER
            .parse_timestamp(text)
            .or_else(|_| PARSER.parse_datetime(text)?.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()))
            .ok()?
    };
    Some(timestamp.as_microsecond())
}

/// A number as text; `true` and `false` are 1 and 0 where `boolean` allows it.
pub(crate) fn number(text: &str, boolean: bool) -> Option<f64> {
    let text = text.trim();
    if boolean && text.eq_ignore_ascii_case("true") {
        return Some(1.0);
    }
    if boolean && text.eq_ignore_ascii_case("false") {
        return Some(0.0);
    }
    text.parse().ok()
}

/// Time stamps of a text column; null where unparsable.
pub(crate) fn times_from_text(column: Expr) -> Expr {
    column.map(
        |column| {
            let parsed: Int64Chunked = unary_elementwise(column.str()?, |text| text.and_then(micros));
            Ok(parsed.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Int64)),
    )
}

/// A moment for each unit, drawn evenly over so many microseconds from a Monday on, by a hash of its name.
pub(crate) fn drawn_times(unit: Expr, spread: i64) -> Expr {
    /// 2001-01-01, 00:00 UTC.
    const MONDAY: i64 = 978_307_200_000_000;
    unit.map(
        move |unit| {
            let draw = |unit: &str| MONDAY + ((u128::from(xxh3_64(unit.as_bytes())) * spread as u128) >> 64) as i64;
            let drawn: Int64Chunked = unary_elementwise(unit.str()?, |unit: Option<&str>| unit.map(draw));
            Ok(drawn.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Int64)),
    )
}

/// Numbers of a text column; null where unparsable.
pub(crate) fn numbers_from_text(column: Expr, boolean: bool) -> Expr {
    column.map(
        move |column| {
            let parsed: Float64Chunked =
                unary_elementwise(column.str()?, |text| text.and_then(|text| number(text, boolean)));
            Ok(parsed.into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Float64)),
    )
}

/// The nearest whole number, which must be in the range of `i64`.
#[expect(clippy::cast_possible_truncation, reason = "rounded, and the caller keeps it in range")]
pub(crate) fn whole(number: f64) -> i64 {
    // Added to this, a smaller number loses its fraction, to even on ties: a call to a library for each is slower.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    if number.abs() < 1e15 { ((number + SHIFT) - SHIFT) as i64 } else { number.round_ties_even() as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_with_and_without_offset() {
        let noon = 1_741_003_200_000_000;
        for text in [
            "2025-03-03T12:00:00Z",
            "2025-03-03 12:00:00",
            "2025-03-03T12:00",
            "2025-03-03T13:00:00+01:00",
            "2025-03-03 07:00:00-0500",
            "2025-03-03T13:00:00+01:00[Europe/Berlin]",
            " 20250303T120000Z ",
        ] {
            assert_eq!(micros(text), Some(noon), "{text}");
        }
        assert_eq!(micros("2025-03-03"), Some(noon - 43_200_000_000));
        assert_eq!(micros("2025-03-03T12:00:00.000001Z"), Some(noon + 1));
        for text in ["", "yesterday", "1741003200", "2025-13-03", "03/03/2025", "]"] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn halves_go_to_even_numbers() {
        for number in [0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.499_999_999_999_999_94, 1e15 - 0.5, 3e15 + 0.5, 9e18, 41.7] {
            assert_eq!(whole(number), number.round_ties_even() as i64, "{number}");
        }
    }

    #[test]
    fn numbers_and_booleans() {
        assert_eq!(number(" 1.5e3 ", false), Some(1500.0));
        assert_eq!(number("True", true), Some(1.0));
        assert_eq!(number("false", true), Some(0.0));
        assert_eq!(number("true", false), None);
        assert_eq!(number("1,5", true), None);
    }
}
