//! Who takes part at all: a platform's own hash of another key, of which only a range takes part.

use crate::assign::values::Values;

/// A key of its own and the range of places in `[0, 1)` that take part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Traffic {
    pub(super) key: String,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Traffic {
    /// From `traffic`, if it is there: the outer `None` is trouble.
    #[expect(clippy::option_option, reason = "trouble and absence differ")]
    pub(super) fn read(values: &mut Values, key: &str) -> Option<Option<Self>> {
        if !["key", "start", "end"].iter().any(|part| values.has(&format!("traffic.{part}"))) {
            return Some(None);
        }
        let key = values.text("traffic.key", key);
        let (start, end) = (bound(values, "traffic.start", 0.0), bound(values, "traffic.end", 1.0));
        let traffic = Self { key: key?, start: start?, end: end? };
        if traffic.start < traffic.end {
            return Some(Some(traffic));
        }
        values.wrong("traffic.end", "which is not above `traffic.start`", "nobody would take part")
    }
}

fn bound(values: &mut Values, name: &str, default: f64) -> Option<f64> {
    let bound = if values.has(name) { values.number(name, "")? } else { default };
    let share = (0.0..=1.0).contains(&bound).then_some(bound);
    share.or_else(|| values.wrong(name, "which is not a share", "write 0 to 1: 0.4 is 40 %"))
}
