//! Limits as typed, such as `false_rollback<=5%`: what `--require` and `--limit` take.

use crate::domain::limit::{Limit, Quantity};
use crate::error::Problem;

/// What was typed after an option, checked before anything runs: every limit that can be read, and every problem of the others.
pub(super) fn parse(option: &str, known: &[Quantity], typed: &[String]) -> (Vec<Limit>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for text in typed {
        match one(option, known, text) {
            Ok(limit) => found.push(limit),
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

fn one(option: &str, known: &[Quantity], text: &str) -> std::result::Result<Limit, Problem> {
    let wrong = |why: String, hint: String| Problem::new(option, format!("`{text}`: {why}")).hint(hint);
    let allowed = || {
        let forms: Vec<String> = known.iter().map(|of| format!("`{}{}`", of.name(), of.operator())).collect();
        format!("what can be required: {}", forms.join(", "))
    };
    let Some(at) = text.find(['<', '>', '=']) else {
        let example = known.first().map_or_else(String::new, |of| format!("{}{}", of.name(), of.operator()));
        let hint = format!("write a limit such as `{example}0.8`; {}", allowed());
        return Err(wrong("has no `>=` or `<=`".into(), hint));
    };
    let name = text[..at].trim();
    let Some(&of) = known.iter().find(|known| known.name() == name) else {
        return Err(wrong(format!("`{name}` is nothing that can be required"), allowed()));
    };
    let operator = of.operator();
    let Some(value) = text[at..].strip_prefix(operator) else {
        return Err(wrong(
            format!("`{name}` is required with `{operator}`"),
            format!("write `{name}{operator}` and a number"),
        ));
    };
    let value = value.trim();
    let number = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => value.parse(),
    };
    match number {
        Ok(bound) if bound >= 0.0 && bound.is_finite() && (!of.is_share() || bound <= 1.0) => {
            Ok(Limit { typed: text.to_owned(), of, bound })
        }
        _ if of.is_share() => Err(wrong(format!("`{value}` is no share"), "write 0.8 or 80%".into())),
        _ => Err(wrong(format!("`{value}` is no number of zero or more"), String::from("write a plain number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn read(texts: &[&str]) -> Result<Vec<Limit>, Error> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let (found, problems) = parse("--require", &Quantity::ALL, &texts);
        if problems.is_empty() { Ok(found) } else { Err(problems.into()) }
    }

    #[test]
    fn limits_are_read_as_numbers_and_shares() {
        let bound = |text: &str| read(&[text]).unwrap()[0].bound;
        assert!((bound("power>=0.8") - 0.8).abs() < 1e-12);
        assert!((bound("false_rollback <= 5%") - 0.05).abs() < 1e-12);
        assert!((bound("exposed_requests<=20000") - 20_000.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_required_is_refused_with_what_can() {
        for (text, says) in [
            ("speed>=1", "what can be required: `power>=`, `promoted>=`, `false_rollback<=`"),
            ("power", "no `>=` or `<=`"),
            ("power<=0.8", "required with `>=`"),
            ("power>=80", "is no share"),
            ("days<=soon", "is no number"),
        ] {
            let error = read(&[text]).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let both = read(&["a>=1", "b<=1"]).unwrap_err().to_string();
        assert!(both.contains("`a`") && both.contains("`b`"), "all at once: {both}");
    }

    #[test]
    fn what_is_at_the_bound_keeps_it() {
        let limits = read(&["miss<=10%", "promoted>=80%"]).unwrap();
        assert!(limits[0].holds(0.1) && !limits[0].holds(0.11));
        assert!(limits[1].holds(0.8) && !limits[1].holds(0.79));
    }
}
