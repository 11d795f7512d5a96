//! A proxy hashes whatever its configuration puts together.

use crate::assign::values::Values;

/// Stands for the unit.
const UNIT: &str = "{unit}";

/// `template`: a text with the unit in it; the unit alone by default.
pub(super) fn read(values: &mut Values) -> Option<String> {
    let template = values.text_or("template", UNIT);
    if template.contains(UNIT) {
        return Some(template);
    }
    values.wrong("template", "without the unit", "write `{unit}` where the unit stands, such as `{unit}-canary`")
}

/// With a unit in its place.
pub(super) fn filled(template: &str, unit: &str) -> String {
    template.replace(UNIT, unit)
}
