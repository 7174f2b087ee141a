//! One line of the table: a figure of this run, beside what it is held against.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By the clocks and counters of this machine.
    Measured,
    /// By the virtual time of the model of a disk, or counted on a drive that exists only in memory.
    Simulated,
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// This much, or more.
    AtLeast(f64),
    /// This much, or less.
    AtMost(f64),
    /// This much to two decimals, as DESIGN.md words it.
    Exactly(f64),
}

impl Limit {
    /// Whether `figure` keeps to it.
    #[must_use]
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => figure >= limit,
            Self::AtMost(limit) => figure <= limit,
            Self::Exactly(limit) => (figure - limit).abs() < 0.005,
        }
    }

    /// By how much `figure` misses it, in percent of the limit; `None` where it is met, or the limit is 0.
    #[must_use]
    pub fn missed_percent(self, figure: f64) -> Option<f64> {
        let limit = self.number();
        (!self.is_met(figure) && limit != 0.0).then(|| (figure / limit - 1.0).abs() * 100.0)
    }

    /// The figure that it names.
    #[must_use]
    pub fn number(self) -> f64 {
        let (Self::AtLeast(limit) | Self::AtMost(limit) | Self::Exactly(limit)) = self;
        limit
    }

    /// The limit in words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!(">= {limit}"),
            Self::AtMost(limit) => format!("<= {limit}"),
            Self::Exactly(limit) => format!("= {limit:.2}"),
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    limit: Option<Limit>,
    figure: Option<f64>,
    unit: &'static str,
    kind: Kind,
    conditions: String,
    against: Map<String, Value>,
    spread: Option<(f64, f64)>,
    note: String,
    /// Whether nothing could be found out.
    is_failed: bool,
}

impl Row {
    /// A figure without a target.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind, figure: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            limit: None,
            figure: figure.is_finite().then_some(figure),
            unit,
            kind,
            conditions: String::new(),
            against: Map::new(),
            spread: None,
            note: String::new(),
            is_failed: false,
        }
    }

    /// A row whose figure could not be had: it counts as a target that is missed.
    #[must_use]
    pub fn without_figure(name: impl Into<String>, kind: Kind, unit: &'static str, reason: &str) -> Self {
        Self {
            note: format!("no figure: {reason}"),
            is_failed: true,
            ..Self::new(name, kind, f64::NAN, unit)
        }
    }

    /// With a target of DESIGN.md.
    #[must_use]
    pub fn target(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// With the conditions under which it holds.
    #[must_use]
    pub fn conditions(mut self, conditions: impl Into<String>) -> Self {
        self.conditions = conditions.into();
        self
    }

    /// With a figure of the same run that it is held against.
    #[must_use]
    pub fn against(mut self, name: &str, figure: f64) -> Self {
        self.against.insert(name.to_owned(), json!(rounded(figure)));
        self
    }

    /// With the least and the greatest of the repeated runs whose median it is.
    #[must_use]
    pub fn spread(mut self, least: f64, greatest: f64) -> Self {
        self.spread = Some((least, greatest));
        self
    }

    /// With a sentence: why a target was missed, or what a reader should know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Whether it has a target, or should have had a figure.
    #[must_use]
    pub fn is_target(&self) -> bool {
        self.limit.is_some() || self.is_failed
    }

    /// Whether its figure keeps to its target; a row without a target has none to miss.
    #[must_use]
    pub fn is_met(&self) -> bool {
        !self.is_failed
            && self.limit.is_none_or(|limit| self.figure.is_some_and(|figure| limit.is_met(figure)))
    }

    /// For the JSON file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "name": self.name,
            "figure": self.figure.map(rounded),
            "unit": self.unit,
            "kind": self.kind,
            "conditions": self.conditions,
            "against": self.against,
            "spread": self.spread.map(|(least, greatest)| [rounded(least), rounded(greatest)]),
            "note": self.note,
        });
        if let Some(object) = value.as_object_mut().filter(|_| self.is_target()) {
            object.insert("target".into(), json!(self.limit.map(Limit::text)));
            object.insert("limit".into(), json!(self.limit.map(Limit::number)));
            object.insert("met".into(), json!(self.is_met()));
            let missed = self.limit.zip(self.figure).and_then(|(limit, figure)| limit.missed_percent(figure));
            object.insert("missed_percent".into(), json!(missed.map(rounded)));
        }
        value
    }

    /// For people, over several lines.
    #[must_use]
    pub fn to_text(&self) -> String {
        let figure = self.figure.map_or("none".to_owned(), figure_text);
        let spread = match self.spread {
            Some((least, greatest)) => format!(" ({} to {})", figure_text(least), figure_text(greatest)),
            None => String::new(),
        };
        let (mark, target) = match self.limit {
            None if self.is_failed => ("✗  ", String::new()),
            None => ("   ", String::new()),
            Some(limit) if self.is_met() => ("met", format!(", target {}", limit.text())),
            Some(limit) => {
                let missed = self.figure.and_then(|figure| limit.missed_percent(figure));
                let by = missed.map_or(String::new(), |percent| format!(", missed by {percent:.1} %"));
                ("✗  ", format!(", target {}{by}", limit.text()))
            }
        };
        let kind = match self.kind {
            Kind::Measured => "measured",
            Kind::Simulated => "simulated",
        };
        let mut text = format!("{mark} {}: {figure}{spread} {}{target} [{kind}]", self.name, self.unit);
        let against: Vec<String> = self
            .against
            .iter()
            .map(|(name, value)| format!("{name} {}", value.as_f64().map_or_else(String::new, figure_text)))
            .collect();
        let details = [self.conditions.clone(), against.join("; "), self.note.clone()];
        for detail in details.iter().filter(|detail| !detail.is_empty()) {
            text.push_str(&format!("\n      {detail}"));
        }
        text
    }
}

/// A figure to five significant digits: no run here is more exact.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return figure;
    }
    let scale = 10_f64.powf(4.0 - figure.abs().log10().floor());
    (figure * scale).round() / scale
}

/// A figure for people.
#[must_use]
pub fn figure_text(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.2 || size == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_or_told_by_how_much_it_is_missed() {
        let row =
            |figure: f64| Row::new("ingest", Kind::Measured, figure, "ratio").target(Limit::AtLeast(0.9));
        assert!(row(0.9).is_met() && !row(0.89).is_met());
        assert!(row(0.81).to_text().contains("missed by 10.0 %"), "{}", row(0.81).to_text());
        assert_eq!(row(0.81).to_json()["met"], false);
        assert_eq!(row(0.81).to_json()["target"], ">= 0.9");
        assert_eq!(row(0.81).to_json()["limit"], 0.9);
        assert!(Limit::Exactly(1.0).is_met(1.0) && !Limit::Exactly(1.0).is_met(1.01));
        assert!(Limit::AtMost(3.0).is_met(3.0) && !Limit::AtMost(3.0).is_met(3.1));
    }

    #[test]
    fn a_row_without_a_figure_meets_no_target() {
        let row = Row::without_figure("mount", Kind::Simulated, "s", "nothing ran");
        assert!(row.is_target(), "what could not be found out is not left out");
        assert!(!row.is_met() && row.to_text().contains("nothing ran"));
        assert!(row.to_json()["figure"].is_null() && row.to_json()["limit"].is_null());
    }
}
