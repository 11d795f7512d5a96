//! nginx `split_clients`: Murmur2 of a string; edges are added up in whole numbers, each rounded down.
//!
//! Source: nginx/nginx `src/http/modules/ngx_http_split_clients_module.c`, `src/core/ngx_murmurhash.c`.

use std::sync::Arc;

use murmurhash32::murmurhash2_with_seed;
use serde_json::{Value, json};

use super::position::placed;
use super::template;
use crate::assign::values::Values;
use crate::assign::{Bucketing, Hashed, nearest};
use crate::domain::quantity::Fraction;

/// Percentages have two decimals.
const PARTS: u32 = 10_000;

struct Nginx {
    template: String,
}

fn hash(text: &str) -> u32 {
    murmurhash2_with_seed::<0>(text.as_bytes())
}

/// Of a part in hundredths of a per cent.
fn width(part: u64) -> u64 {
    part * u64::from(u32::MAX) / u64::from(PARTS)
}

/// Edges of parts; `None`: all that is left.
fn edges(parts: &[Option<u64>]) -> Vec<Option<u64>> {
    let (mut total, mut edge) = (0, 0);
    let of = |part: &Option<u64>| {
        let part = (*part)?;
        total += part;
        edge += width(part);
        (total < u64::from(PARTS)).then_some(edge)
    };
    parts.iter().map(of).collect()
}

impl Bucketing for Nginx {
    fn place(&self, unit: &str) -> f64 {
        f64::from(hash(&template::filled(&self.template, unit))) / 4_294_967_296.0
    }

    fn steps(&self) -> Option<u32> {
        Some(PARTS)
    }

    fn serves(&self, place: f64, exposure: Fraction) -> bool {
        let hash = (place * 4_294_967_296.0).round() as u64;
        edges(&[Some(nearest(exposure, PARTS) as u64)])[0].is_none_or(|edge| hash < edge)
    }

    fn hashed(&self, unit: &str) -> Hashed {
        let text = template::filled(&self.template, unit);
        let hash = hash(&text);
        Hashed { text, hash: format!("murmur2: {hash}"), bucket: hash.to_string() }
    }

    fn threshold(&self, exposure: Fraction) -> String {
        let edge = edges(&[Some(nearest(exposure, PARTS) as u64)])[0];
        edge.map_or_else(|| "all".into(), |edge| format!("below {edge}"))
    }
}

pub(super) fn read(values: &mut Values) -> Option<Arc<dyn Bucketing>> {
    let template = template::read(values);
    placed(values, template.map(|template| Nginx { template }))
}

pub(super) fn answer(values: &mut Values) -> Option<Value> {
    let text = values.unit("string");
    let parts = values.optional("parts", parts);
    let hash = hash(&text?);
    let mut answer = json!({ "murmur2_u32": hash });
    if let Some(parts) = parts? {
        let edges = edges(&parts);
        answer["index"] = json!(edges.iter().position(|edge| edge.is_none_or(|edge| u64::from(hash) < edge)));
        answer["upper_edges"] = json!(edges);
    }
    Some(answer)
}

/// Parts as in the configuration: `5%`, `12.34%`, `*`.
fn parts(values: &mut Values) -> Option<Vec<Option<u64>>> {
    let written = values.texts("parts", "as in the configuration: `[\"5%\", \"*\"]`")?;
    let part = |text: &String| match text.as_str() {
        "*" => Some(None),
        text => hundredths(text.strip_suffix('%')?).map(Some),
    };
    let parts: Option<Vec<Option<u64>>> = written.iter().map(part).collect();
    let fits = |parts: &Vec<Option<u64>>| parts.iter().flatten().sum::<u64>() <= u64::from(PARTS);
    parts.filter(fits).or_else(|| {
        values.wrong(
            "parts",
            "which are not parts",
            "write percentages with at most two decimals that add up to at most 100, and `*`",
        )
    })
}

fn hundredths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = !whole.is_empty() && whole.len() <= 3 && decimals.len() <= 2 && digits(whole) && digits(decimals);
    fits.then(|| format!("{whole}{decimals:0<2}").parse().ok())?
}
