//! Texts to quantities. Each function says what is wrong; the caller says where.

use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{Hours, StartTime};

/// Longer texts are no number with a unit.
const LONGEST_AMOUNT: usize = 40;

/// How durations are written.
pub(super) const DURATION_HINT: &str = "write numbers with units: `15m`, `48h`, `1h 30m` or `7d`";

/// A length of time of zero or more whole seconds; a day is 24 hours.
pub(super) fn duration(text: &str) -> Result<Seconds, &'static str> {
    if text.trim() == "0" {
        return Ok(Seconds(0));
    }
    let span = SpanParser::new().parse_span(text).map_err(|_| "which is not a duration")?;
    seconds(&span)
}

fn seconds(span: &Span) -> Result<Seconds, &'static str> {
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("and months and years differ in length");
    }
    if span.get_milliseconds() != 0 || span.get_microseconds() != 0 || span.get_nanoseconds() != 0 {
        return Err("which is not in whole seconds");
    }
    if span.is_negative() {
        return Err("which is less than nothing");
    }
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    Ok(Seconds(days * 86_400 + i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds()))
}

/// A finite number and what follows it: `20 ms` is (20, "ms").
pub(super) fn amount(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    if text.len() > LONGEST_AMOUNT || !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let mut ends = text.char_indices().map(|(index, _)| index).chain([text.len()]).rev();
    let (number, end) = ends.find_map(|end| Some((text[..end].parse::<f64>().ok()?, end)))?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

/// A percentage such as `5%`, as a share.
pub(super) fn percentage(text: &str) -> Option<f64> {
    match amount(text)? {
        (number, "%") => Some(number / 100.0),
        _ => None,
    }
}

/// How starts are written.
pub(super) const START_HINT: &str = "write a weekly time such as `Mon 09:00`, hours such as `Mon-Fri 09:00-15:00`, or a moment such as `2025-03-03 09:00`";

/// A weekly time, or a moment in the given time zone where the text names none.
pub(super) fn start(text: &str, zone: &TimeZone) -> Option<StartTime> {
    weekly(text).or_else(|| moment(text, zone).map(StartTime::At))
}

fn weekly(text: &str) -> Option<StartTime> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let (day, time) = text.trim().split_once(' ')?;
    let day = day.to_lowercase();
    let index = DAYS.iter().position(|name| *name == day || name[..3] == day)?;
    let (hour, minute) = time.trim().split_once(':')?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute).filter(|_| minute.len() == 2)?);
    let valid = hour < 24 && minute < 60;
    valid.then_some(StartTime::Weekly { day: i8::try_from(index).ok()?, time: Seconds(hour * 3600 + minute * 60) })
}

/// Days and times of one day: `Mon-Fri 09:00-17:00`, `Sun 10:00-12:00`.
pub(super) fn hours(text: &str) -> Option<Hours> {
    let (days, times) = text.trim().split_once(' ')?;
    let (from, to) = times.trim().split_once('-')?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let at = |day: &str, time: &str| match weekly(&format!("{day} {}", time.trim()))? {
        StartTime::Weekly { day, time } => Some((usize::try_from(day).ok()?, time)),
        StartTime::At(_) => None,
    };
    // Midnight ends a day.
    let ends = |time: &str| if time.trim() == "24:00" { Some(Seconds(86_400)) } else { Some(at(last, time)?.1) };
    let ((first, from), to) = (at(first, from)?, ends(to)?);
    let last = at(last, "00:00")?.0;
    let days =
        std::array::from_fn(
            |day| if first <= last { (first..=last).contains(&day) } else { day >= first || day <= last },
        );
    (from < to).then_some(Hours { days, from, to })
}

pub(super) const HOURS_HINT: &str = "write days and times of one day, such as `Mon-Fri 09:00-17:00`";

fn two_digits(text: &str) -> Option<i64> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn moment(text: &str, zone: &TimeZone) -> Option<Moment> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(Moment(timestamp.as_second()));
    }
    let civil: DateTime = text.parse().ok()?;
    Some(Moment(zone.to_ambiguous_timestamp(civil).compatible().ok()?.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_their_units() {
        assert_eq!(duration("15m"), Ok(Seconds(900)));
        assert_eq!(duration("1h 30m"), Ok(Seconds(5400)));
        assert_eq!(duration("7d"), Ok(Seconds::WEEK));
        assert_eq!(duration("1w"), Ok(Seconds::WEEK));
        assert_eq!(duration("0"), Ok(Seconds(0)));
    }

    #[test]
    fn texts_that_are_no_duration_are_refused() {
        for text in ["", "15", "-5m", "5m ago", "500ms", "1.5s", "1mo", "1y", "soon", "P1D"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn amounts_split_into_number_and_unit() {
        assert_eq!(amount("20 ms"), Some((20.0, "ms")));
        assert_eq!(amount("5eur"), Some((5.0, "eur")));
        assert_eq!(amount("-0.5pp"), Some((-0.5, "pp")));
        assert_eq!(amount(" 1e-3 "), Some((0.001, "")));
        assert_eq!(amount("1\u{202f}%"), Some((1.0, "%")));
        for text in ["", "%", "nan%", "inf", "five", "1e999", &"1".repeat(50)] {
            assert_eq!(amount(text), None, "{text:?}");
        }
    }

    #[test]
    fn starts_are_weekly_or_moments() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(start("Mon 09:00", &berlin), Some(StartTime::Weekly { day: 0, time: Seconds(9 * 3600) }));
        assert_eq!(start("sunday 7:15", &berlin), Some(StartTime::Weekly { day: 6, time: Seconds(7 * 3600 + 900) }));
        // 2025-03-03 08:00 UTC.
        let eight = StartTime::At(Moment(1_740_988_800));
        assert_eq!(start("2025-03-03 09:00", &berlin), Some(eight));
        assert_eq!(start("2025-03-03T08:00:00Z", &berlin), Some(eight));
        for text in ["", "Mon", "Mon 24:00", "Mon 9", "Mon 9:5", "Mon 09:00:00", "noon", "2025-02-30 09:00"] {
            assert_eq!(start(text, &berlin), None, "{text:?}");
        }
    }
}
