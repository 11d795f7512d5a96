//! When a person lets a rollout go on.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Scenario;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::Hours;

/// An answer that takes longer than so many days of work never comes.
const MOST_DAYS: i64 = 4000;

impl Scenario {
    /// The moment of an answer to a question that takes so much working time.
    #[must_use]
    pub fn approved(&self, asked: Moment, work: Seconds) -> Moment {
        let Some(hours) = self.rollout.approval.hours else { return Moment(asked.0.saturating_add(work.0)) };
        let zone = TimeZone::get(&self.log.timezone).unwrap_or(TimeZone::UTC);
        answered(hours, &zone, asked, work).unwrap_or(Moment(i64::MAX))
    }

    /// The longest that an answer takes, whenever it is asked for: of a time that is drawn, of a hundred answers.
    #[must_use]
    pub fn longest_approval(&self) -> Seconds {
        let work = self.rollout.approval.delay.longest();
        if self.rollout.approval.hours.is_none() {
            return work;
        }
        // Any week stands for all; where clocks change, an hour more may pass.
        let slots = Seconds::WEEK.0 / self.log.slot.0.max(60);
        let wait = |slot: i64| {
            let asked = Moment(1_736_899_200 + slot * self.log.slot.0);
            self.approved(asked, work).0.saturating_sub(asked.0)
        };
        Seconds((0..=slots).map(wait).max().unwrap_or(work.0).saturating_add(Seconds::HOUR.0))
    }
}

/// Where working time adds up to `work`.
fn answered(hours: Hours, zone: &TimeZone, asked: Moment, work: Seconds) -> Option<Moment> {
    let today = Timestamp::from_second(asked.0).ok()?.to_zoned(zone.clone()).date();
    let mut left = work.0;
    for day in 0..MOST_DAYS {
        let date = today.checked_add(day.days()).ok()?;
        if !hours.days[date.weekday().to_monday_zero_offset() as usize] {
            continue;
        }
        let at = |time: Seconds| {
            Some(date.to_zoned(zone.clone()).ok()?.checked_add(time.0.seconds()).ok()?.timestamp().as_second())
        };
        let (open, close) = (at(hours.from)?.max(asked.0), at(hours.to)?);
        // Asked at closing time, it waits for the next day.
        if open < close {
            if open + left <= close {
                return Some(Moment(open + left));
            }
            left -= close - open;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFICE: Hours =
        Hours { days: [true, true, true, true, true, false, false], from: Seconds(9 * 3600), to: Seconds(17 * 3600) };

    #[test]
    fn only_office_hours_count() {
        let zone = TimeZone::get("Europe/Berlin").expect("a known zone");
        let at = |text: &str| Moment(text.parse::<Timestamp>().expect("a moment").as_second());
        let after = |asked: &str, hours: i64| answered(OFFICE, &zone, at(asked), Seconds(hours * 3600));
        // A Friday in January, an hour ahead of UTC.
        assert_eq!(after("2025-01-17T10:00:00Z", 2), Some(at("2025-01-17T12:00:00Z")));
        assert_eq!(after("2025-01-17T15:00:00Z", 2), Some(at("2025-01-20T09:00:00Z")), "an hour each day");
        assert_eq!(after("2025-01-17T16:00:00Z", 0), Some(at("2025-01-20T08:00:00Z")), "asked at closing time");
        assert_eq!(after("2025-01-18T03:00:00Z", 1), Some(at("2025-01-20T09:00:00Z")), "asked on a Saturday");
        assert_eq!(after("2025-01-20T00:00:00Z", 20), Some(at("2025-01-22T12:00:00Z")), "days of work");
        // Clocks go forward on Sunday the 30th of March.
        assert_eq!(after("2025-03-28T15:30:00Z", 1), Some(at("2025-03-31T07:30:00Z")));
    }

    #[test]
    fn more_work_is_never_answered_sooner() {
        let zone = TimeZone::UTC;
        for hour in 0..24 * 8 {
            let asked = Moment(1_736_899_200 + hour * 3600);
            let mut before = asked;
            for work in 0..40 {
                let now = answered(OFFICE, &zone, asked, Seconds(work * 1800)).expect("there is a next week");
                assert!(now >= before, "{hour} {work}");
                before = now;
            }
        }
    }
}
