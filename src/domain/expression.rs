//! Values that are computed from columns of a request: sums of columns, each times a number.

/// A sum of columns, each times a factor, and of a constant. Without a value in one of the columns there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// What is added up.
    pub terms: Vec<Term>,
    /// Added to it.
    pub constant: f64,
}

/// A column times a factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Name of the column.
    pub column: String,
    /// What it is multiplied with.
    pub factor: f64,
}

/// An operator stands between spaces: `a-b` is the name of one column.
const OPERATORS: [&str; 4] = ["+", "-", "*", "/"];

impl Expression {
    /// The column itself.
    #[must_use]
    pub fn of_column(name: &str) -> Self {
        Self { terms: vec![Term { column: name.to_owned(), factor: 1.0 }], constant: 0.0 }
    }

    /// The column, where it is nothing else.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self.terms.as_slice() {
            // The factor is 1 where nothing is multiplied.
            [Term { column, factor }] if self.constant.abs() <= 0.0 && factor.to_bits() == 1.0_f64.to_bits() => {
                Some(column)
            }
            _ => None,
        }
    }

    /// Reads `a`, `a - b`, `a / 1000`, `2 * a - b + 3`. A text without an operator between spaces is the name of a column, spaces and all.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if !words.iter().any(|word| OPERATORS.contains(word)) {
            return Ok(Self::of_column(text));
        }
        let mut sum = Self { terms: Vec::new(), constant: 0.0 };
        let mut words = words.into_iter();
        let mut sign = 1.0;
        loop {
            let (product, next) = Product::read(&mut words)?;
            sum.add(sign * product.factor, product.column);
            sign = match next {
                None => break,
                Some("-") => -1.0,
                Some(_) => 1.0,
            };
        }
        sum.terms.retain(|term| term.factor.abs() > 0.0);
        if sum.terms.is_empty() {
            return Err("which reads no column".into());
        }
        let finite = sum.terms.iter().map(|term| term.factor).chain([sum.constant]).all(f64::is_finite);
        if finite { Ok(sum) } else { Err("whose factors are too large".into()) }
    }

    fn add(&mut self, factor: f64, column: Option<&str>) {
        match column {
            None => self.constant += factor,
            Some(name) => match self.terms.iter_mut().find(|term| term.column == name) {
                Some(term) => term.factor += factor,
                None => self.terms.push(Term { column: name.to_owned(), factor }),
            },
        }
    }
}

/// Numbers and at most one column, multiplied.
struct Product<'a> {
    factor: f64,
    column: Option<&'a str>,
}

impl<'a> Product<'a> {
    /// Up to the next `+` or `-`, which is given too.
    fn read(words: &mut impl Iterator<Item = &'a str>) -> Result<(Self, Option<&'a str>), String> {
        let mut product = Self { factor: 1.0, column: None };
        let mut divides = false;
        loop {
            let word = words.next().ok_or("which ends in an operator")?;
            if OPERATORS.contains(&word) {
                return Err(format!("where `{word}` follows an operator or comes first"));
            }
            match word.parse::<f64>() {
                Ok(number) if divides && number.abs() <= 0.0 => return Err("which divides by 0".into()),
                Ok(number) if divides => product.factor /= number,
                Ok(number) => product.factor *= number,
                Err(_) if divides => return Err(format!("which divides by the column `{word}`")),
                Err(_) if product.column.is_some() => return Err("which multiplies two columns".into()),
                Err(_) => product.column = Some(word),
            }
            match words.next() {
                Some("*") => divides = false,
                Some("/") => divides = true,
                end @ (None | Some("+" | "-")) => return Ok((product, end)),
                Some(other) => return Err(format!("where `{other}` follows without an operator")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, f64)>, f64) {
        let sum = Expression::parse(text).unwrap();
        (sum.terms.into_iter().map(|term| (term.column, term.factor)).collect(), sum.constant)
    }

    fn terms(terms: &[(&str, f64)]) -> Vec<(String, f64)> {
        terms.iter().map(|&(column, factor)| (column.to_owned(), factor)).collect()
    }

    #[test]
    fn sums_of_columns_times_numbers() {
        assert_eq!(read("a - b"), (terms(&[("a", 1.0), ("b", -1.0)]), 0.0));
        assert_eq!(read("tokens - 1"), (terms(&[("tokens", 1.0)]), -1.0));
        assert_eq!(read("ms / 1000"), (terms(&[("ms", 0.001)]), 0.0));
        assert_eq!(read("2 * a - b * 3 / 4 + 1 - 2 * 3"), (terms(&[("a", 2.0), ("b", -0.75)]), -5.0));
        assert_eq!(read("a + a - b"), (terms(&[("a", 2.0), ("b", -1.0)]), 0.0));
    }

    #[test]
    fn names_are_columns_whatever_is_in_them() {
        for name in ["a", "a-b", "a b", "tokens/s", "1", "x*y", ""] {
            assert_eq!(Expression::parse(name), Ok(Expression::of_column(name)));
            assert_eq!(Expression::parse(name).unwrap().column(), Some(name));
        }
        assert_eq!(Expression::parse("a - 1").unwrap().column(), None);
        assert_eq!(Expression::parse("a * 2").unwrap().column(), None);
    }

    #[test]
    fn what_is_no_sum_is_told() {
        let said = |text: &str| Expression::parse(text).unwrap_err();
        assert_eq!(said("a -"), "which ends in an operator");
        assert_eq!(said("- a"), "where `-` follows an operator or comes first");
        assert_eq!(said("a - - b"), "where `-` follows an operator or comes first");
        assert_eq!(said("a * b"), "which multiplies two columns");
        assert_eq!(said("a / b"), "which divides by the column `b`");
        assert_eq!(said("a / 0"), "which divides by 0");
        assert_eq!(said("a b - c"), "where `b` follows without an operator");
        assert_eq!(said("a - a"), "which reads no column");
        assert_eq!(said("2 * 3"), "which reads no column");
        assert_eq!(said("a * 1e300 * 1e300"), "whose factors are too large");
    }
}
