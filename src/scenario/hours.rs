//! When a person lets a rollout go on, and when a stage may begin.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Scenario;
use crate::domain::quantity::{Moment, Seconds};
use crate::domain::rollout::{Answer, Hours};

/// An answer that takes longer than so many days of work never comes.
const MOST_DAYS: i64 = 4000;

/// A moment at which a week begins that stands for all.
const SOME_WEEK: Moment = Moment(1_736_899_200);

impl Scenario {
    /// The moment of an answer to a question that takes so much working time.
    #[must_use]
    pub fn answered(&self, answer: Answer, asked: Moment, work: Seconds) -> Moment {
        answer_at(answer, &self.zone(), asked, work)
    }

    /// When a stage is left whose gates have let go at a moment: once a person who takes so much working time has let the rollout go on, if
    /// one is asked, and at a look of the stage at which the next one may begin.
    #[must_use]
    pub fn left(&self, stage: usize, ended: Moment, work: Option<Seconds>) -> Moment {
        let facts = &self.stages[stage];
        let work = work.filter(|_| facts.approved);
        let approved = work.map_or(ended, |work| self.answered(self.rollout.approval, ended, work));
        let Some(hours) = self.stages.get(stage + 1).and_then(|next| next.start) else { return approved };
        let zone = self.zone();
        let next_look = |after: Moment| {
            let passed = Seconds(after.0.saturating_sub(ended.0)).up_to(facts.look_every);
            Moment(ended.0.saturating_add(passed.0))
        };
        let mut due = next_look(approved);
        for _ in 0..MOST_DAYS {
            match answered(hours, &zone, due, Seconds(0)) {
                Some(begins) if begins == due => return due,
                // Hours are never shorter than the time between looks, so that one of them is in these.
                Some(begins) => due = next_look(begins),
                None => break,
            }
        }
        Moment(i64::MAX)
    }

    /// How many looks a stage then still takes.
    #[must_use]
    pub fn looks_to_leave(&self, stage: usize, ended: Moment, work: Option<Seconds>) -> usize {
        let left = self.left(stage, ended, work);
        Seconds(left.0.saturating_sub(ended.0)).steps(self.stages[stage].look_every)
    }

    /// The longest that this takes, whenever the gates let go: of a time that is drawn, of a hundred answers; without it, nobody is asked.
    #[must_use]
    pub fn longest_to_leave(&self, stage: usize, work: Option<Seconds>) -> Seconds {
        let facts = &self.stages[stage];
        let asked = work.is_some() && facts.approved && self.rollout.approval.hours.is_some();
        let by_hours = asked || self.stages.get(stage + 1).is_some_and(|next| next.start.is_some());
        longest(by_hours, self.log.slot, |ended| self.left(stage, ended, work)).up_to(facts.look_every)
    }

    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.log.timezone).unwrap_or(TimeZone::UTC)
    }
}

fn answer_at(answer: Answer, zone: &TimeZone, asked: Moment, work: Seconds) -> Moment {
    let Some(hours) = answer.hours else { return Moment(asked.0.saturating_add(work.0)) };
    answered(hours, zone, asked, work).unwrap_or(Moment(i64::MAX))
}

/// The longest that an answer takes, whenever it is asked for: of a time that is drawn, of a hundred answers.
pub(super) fn longest_answer(answer: Answer, zone: &TimeZone, slot: Seconds) -> Seconds {
    let work = answer.delay.longest();
    longest(answer.hours.is_some(), slot, |asked| answer_at(answer, zone, asked, work))
}

/// The longest from a moment to another one; `by_hours` where it depends on the time of the week.
fn longest(by_hours: bool, slot: Seconds, until: impl Fn(Moment) -> Moment) -> Seconds {
    let wait = |from: Moment| until(from).0.saturating_sub(from.0);
    if !by_hours {
        return Seconds(wait(SOME_WEEK));
    }
    // Any week stands for all; where clocks change, an hour more may pass.
    let slots = Seconds::WEEK.0 / slot.0.max(60);
    let longest = (0..=slots).map(|index| wait(Moment(SOME_WEEK.0 + index * slot.0))).max();
    Seconds(longest.unwrap_or(0).saturating_add(Seconds::HOUR.0))
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
    fn a_stage_is_left_at_a_look_in_the_hours_of_the_next() {
        let text = include_str!("../../tests/scenarios/valid/minimal.toml");
        let mut scenario = Scenario::parse("minimal.toml", text).expect("valid");
        scenario.log.timezone = "Europe/Berlin".into();
        let mut next = scenario.stages[0].clone();
        next.start = Some(OFFICE);
        scenario.stages.truncate(1);
        scenario.stages[0].look_every = Seconds(7 * 3600);
        scenario.stages.push(next);
        let at = |text: &str| Moment(text.parse::<Timestamp>().expect("a moment").as_second());
        let left = |scenario: &Scenario, ended: &str| scenario.left(0, at(ended), Some(Seconds(0)));
        let inside = "2025-01-17T15:59:00Z";
        assert_eq!(left(&scenario, inside), at(inside), "a minute before five on Friday in Berlin");
        // Looks every seven hours from Friday at five on: the first in office hours is on Monday at three.
        assert_eq!(left(&scenario, "2025-01-17T16:00:00Z"), at("2025-01-20T14:00:00Z"));
        assert_eq!(scenario.looks_to_leave(0, at("2025-01-17T16:00:00Z"), None), 10);
        // A person who takes until Friday at five is asked first.
        scenario.stages[0].approved = true;
        let answered = scenario.left(0, at("2025-01-17T09:00:00Z"), Some(Seconds(7 * 3600)));
        assert_eq!(answered, at("2025-01-20T14:00:00Z"), "the eleventh look");
        assert!(scenario.longest_to_leave(0, None) >= Seconds(64 * 3600), "a weekend");
        let longest = scenario.longest_to_leave(0, None);
        for minute in (0..7 * 1440).step_by(15) {
            let ended = Moment(at("2025-03-27T00:00:00Z").0 + minute * 60);
            let waited = scenario.left(0, ended, None).0 - ended.0;
            assert!(
                (0..=longest.0).contains(&waited),
                "{minute}: {waited}, at most {longest}, over a change of clocks"
            );
            let begins = Timestamp::from_second(ended.0 + waited).expect("in range").to_zoned(scenario.zone());
            assert!((9..17).contains(&begins.hour()) && begins.weekday().to_monday_zero_offset() < 5, "{begins}");
        }
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
