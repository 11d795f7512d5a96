//! Embeddings: lists of numbers in a column, or text that says them, to random features.

use polars::prelude::*;

use super::values;
use crate::domain::feature::Feature;

/// Whether a column of this type holds lists of numbers.
pub(super) fn holds_vectors(dtype: &DataType) -> bool {
    match dtype {
        DataType::List(inner) | DataType::Array(inner, _) => inner.is_primitive_numeric() || **inner == DataType::Null,
        _ => false,
    }
}

/// The features of a set, as a structure of as many numbers, of each embedding. Without an embedding they are null; of what is no list of
/// `length` finite numbers they are NaN.
pub(super) fn features(column: Expr, set: Feature, length: usize) -> Expr {
    let directions: Vec<Vec<f64>> =
        (0..set.of / 2).map(|pair| Feature::direction(pair, length, set.bandwidth)).collect();
    column.map(
        move |column| {
            let mut found: Vec<Vec<Option<f64>>> = vec![Vec::with_capacity(column.len()); set.of];
            each(&column, |embedding| {
                let known = embedding.map(|of| of.filter(|of| of.len() == length && of.iter().all(|x| x.is_finite())));
                for (direction, pair) in directions.iter().zip(found.chunks_exact_mut(2)) {
                    let along = known.map(|of| of.map_or(f64::NAN, |of| along(direction, of)));
                    pair[0].push(along.map(f64::cos));
                    pair[1].push(along.map(f64::sin));
                }
            })?;
            let fields: Vec<Series> = found
                .into_iter()
                .enumerate()
                .map(|(index, values)| Float64Chunked::from_iter_options(name(index), values.into_iter()).into_series())
                .collect();
            Ok(StructChunked::from_series(column.name().clone(), column.len(), fields.iter())?.into_column())
        },
        move |_, field| {
            let fields = (0..set.of).map(|index| Field::new(name(index), DataType::Float64)).collect();
            Ok(Field::new(field.name().clone(), DataType::Struct(fields)))
        },
    )
}

/// How many numbers each embedding has; null where there is none.
pub(super) fn lengths(column: Expr) -> Expr {
    column.map(
        |column| {
            let mut found = Vec::with_capacity(column.len());
            each(&column, |embedding| found.push(embedding.map(|of| of.map_or(0, |of| of.len() as i64))))?;
            Ok(Int64Chunked::from_iter_options(column.name().clone(), found.into_iter()).into_column())
        },
        |_, field| Ok(Field::new(field.name().clone(), DataType::Int64)),
    )
}

fn name(index: usize) -> PlSmallStr {
    index.to_string().into()
}

fn along(direction: &[f64], embedding: &[f64]) -> f64 {
    direction.iter().zip(embedding).map(|(w, x)| w * x).sum()
}

/// Visits each row: nothing where it is null, no list where it holds none or a number of it is missing.
fn each(column: &Column, mut visit: impl FnMut(Option<Option<&[f64]>>)) -> PolarsResult<()> {
    match column.dtype() {
        DataType::Null => (0..column.len()).for_each(|_| visit(None)),
        DataType::String => {
            let mut numbers = Vec::new();
            for text in column.str()?.iter() {
                visit(text.map(|text| parse(text, &mut numbers).then_some(numbers.as_slice())));
            }
        }
        _ => {
            let lists = column.cast(&DataType::List(Box::new(DataType::Float64)))?;
            for list in lists.list()?.amortized_iter() {
                let Some(list) = list else {
                    visit(None);
                    continue;
                };
                let numbers = list.as_ref().f64()?;
                // Lists of several pieces or with missing numbers are no slice.
                visit(Some(numbers.cont_slice().ok()));
            }
        }
    }
    Ok(())
}

/// Reads `[0.1, -0.2]`, with or without brackets.
fn parse(text: &str, numbers: &mut Vec<f64>) -> bool {
    numbers.clear();
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    for word in text.split(',') {
        let Some(number) = values::number(word, false) else { return false };
        numbers.push(number);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Feature = Feature { index: 0, of: 4, bandwidth: 0.7 };

    fn found(column: Column, length: usize) -> Vec<[Option<f64>; 4]> {
        let frame = DataFrame::new_infer_height(vec![column.with_name("e".into())]).unwrap();
        let read = (0..4).map(|index| col("f").struct_().field_by_index(index).alias(format!("{index}")));
        let read: Vec<Expr> = read.collect();
        let found = frame.lazy().select([features(col("e"), SET, length).alias("f")]).select(read).collect().unwrap();
        let values: Vec<Vec<Option<f64>>> =
            found.columns().iter().map(|column| column.f64().unwrap().iter().collect()).collect();
        (0..found.height()).map(|row| [0, 1, 2, 3].map(|feature: usize| values[feature][row])).collect()
    }

    fn lists(rows: &[Option<Vec<f32>>]) -> Column {
        let rows = rows.iter().map(|row| row.as_ref().map(|row| Series::new("".into(), row)));
        rows.collect::<ListChunked>().into_column()
    }

    fn expected(embedding: &[f64]) -> [f64; 4] {
        let of = |pair: usize| along(&Feature::direction(pair, embedding.len(), 0.7), embedding);
        [of(0).cos(), of(0).sin(), of(1).cos(), of(1).sin()]
    }

    #[test]
    fn lists_and_text_have_the_same_features() {
        let typed = found(lists(&[Some(vec![0.5, -0.25, 2.0]), None, Some(vec![1.0, 0.0, 0.0])]), 3);
        let text = [Some("[0.5, -0.25, 2]"), None, Some("1,0,0")];
        assert_eq!(typed, found(Column::new("e".into(), text), 3));
        assert_eq!(typed[0], expected(&[0.5, -0.25, 2.0]).map(Some));
        assert_eq!(typed[1], [None; 4]);
        let array =
            lists(&[Some(vec![0.5, -0.25, 2.0])]).cast(&DataType::Array(Box::new(DataType::Float32), 3)).unwrap();
        assert_eq!(found(array, 3), typed[..1]);
    }

    #[test]
    fn what_is_no_such_list_is_no_number() {
        let rows = [Some(vec![0.5]), Some(vec![]), Some(vec![0.5, f32::NAN]), Some(vec![f32::INFINITY, 1.0])];
        let text = ["", "[0.5, x]", "[0.5, 1", "0.5 1", "[NaN, 1]"];
        for row in found(lists(&rows), 2).into_iter().chain(found(Column::new("e".into(), text), 2)) {
            assert!(row.iter().all(|value| value.is_some_and(f64::is_nan)), "{row:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_lists() {
        let of = |column: Column| {
            let frame = DataFrame::new_infer_height(vec![column.with_name("e".into())]).unwrap();
            let found = frame.lazy().select([lengths(col("e"))]).collect().unwrap();
            found.columns()[0].i64().unwrap().iter().collect::<Vec<_>>()
        };
        assert_eq!(of(lists(&[None, Some(vec![1.0, 2.0])])), [None, Some(2)]);
        assert_eq!(of(Column::new("e".into(), ["[1, 2, 3]", "x"])), [Some(3), Some(0)]);
    }
}
