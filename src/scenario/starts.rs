//! Moments at which a rollout may start.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Scenario;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{StartTime, Starts};

impl Scenario {
    /// Moments at which a rollout may start, in order: the listed ones, or any whole hour on the slot grid, whose
    /// schedule fits between `first` and `end`.
    #[must_use]
    pub fn starts(&self, first: Moment, end: Moment) -> Vec<Moment> {
        // Saturates: a schedule longer than time itself fits nowhere.
        let latest = Moment(end.0.saturating_sub(self.longest().0));
        if latest < first {
            return Vec::new();
        }
        let mut starts = match &self.rollout.start {
            Starts::AnyHour => whole_hours(self.log.slot, first, latest),
            Starts::Listed(listed) => listed.iter().flat_map(|start| self.listed(*start, first, latest)).collect(),
        };
        starts.retain(|start| (first..=latest).contains(start));
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    fn listed(&self, start: StartTime, first: Moment, latest: Moment) -> Vec<Moment> {
        match start {
            StartTime::At(moment) => vec![moment],
            StartTime::Weekly { day, time } => {
                let zone = TimeZone::get(&self.log.timezone).unwrap_or(TimeZone::UTC);
                // A zone that once had an odd offset could leave the slot grid; the slot's begin is meant.
                let on_grid = |moment: Moment| Moment(moment.0 - moment.0.rem_euclid(self.log.slot.0));
                weekly(&zone, day, time, first, latest).into_iter().map(on_grid).collect()
            }
        }
    }
}

/// Whole hours that are also on the slot grid: with slots of 45 min, every third.
fn whole_hours(slot: Seconds, first: Moment, latest: Moment) -> Vec<Moment> {
    let hour = Seconds::HOUR.0;
    let step = hour / gcd(hour, slot.0) * slot.0;
    let begin = first.0.div_euclid(step) * step;
    (0..=(latest.0 - begin) / step).map(|index| Moment(begin + index * step)).collect()
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Every week's moment, from a day before `first` to a day after `latest`: local dates differ from UTC's.
fn weekly(zone: &TimeZone, day: i8, time: Seconds, first: Moment, latest: Moment) -> Vec<Moment> {
    let date = |moment: Moment| Timestamp::from_second(moment.0).ok().map(|at| at.to_zoned(zone.clone()).date());
    let (Some(begin), Some(end)) = (date(first), date(latest)) else { return Vec::new() };
    let (Ok(begin), Ok(end)) = (begin.yesterday(), end.tomorrow()) else { return Vec::new() };
    let Ok(weekday) = Weekday::from_monday_zero_offset(day) else { return Vec::new() };
    begin
        .series(1.day())
        .take_while(|date| *date <= end)
        .filter(|date| date.weekday() == weekday)
        .filter_map(|date| {
            // Civil time, not midnight plus seconds: 09:00 stays 09:00 when the clocks change.
            let hour = i8::try_from(time.0 / 3600).ok()?;
            let minute = i8::try_from(time.0 / 60 % 60).ok()?;
            let timestamp = zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0)).compatible().ok()?;
            Some(Moment(timestamp.as_second()))
        })
        .collect()
}
