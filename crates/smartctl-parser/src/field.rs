//! A place in a report that may be there or not, and may have any shape.

use serde_json::Value;

/// A place in a report. Every question to a place that is not there gives nothing.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a>(Option<&'a Value>);

impl<'a> Field<'a> {
    /// The top of a report.
    pub(crate) fn top(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The member `name`. A member that is `null` is not there.
    pub(crate) fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|value| value.get(name)).filter(|value| !value.is_null()))
    }

    /// Whether there is something here.
    pub(crate) fn is_there(self) -> bool {
        self.0.is_some()
    }

    /// `Some` where there is something here: to leave out parts that a report does not have.
    pub(crate) fn there(self) -> Option<Self> {
        self.0.map(|_| self)
    }

    /// A number from 0.
    pub(crate) fn number(self) -> Option<u64> {
        self.0.and_then(Value::as_u64)
    }

    /// A number from 0 that fits into `T`.
    pub(crate) fn small<T: TryFrom<u64>>(self) -> Option<T> {
        self.number().and_then(|number| T::try_from(number).ok())
    }

    /// A number of either sign.
    pub(crate) fn signed(self) -> Option<i64> {
        self.0.and_then(Value::as_i64)
    }

    /// The member `name` as a number that may be too large for JSON's: smartctl writes one beyond 2^53 as
    /// text too, in `NAME_s` (smartctl(8), `--json`, option `s`). One beyond 64 bits is the largest of those.
    pub(crate) fn wide(self, name: &str) -> Option<u64> {
        let text = self.at(&format!("{name}_s")).text().and_then(|text| text.parse::<u128>().ok());
        text.map(|number| u64::try_from(number).unwrap_or(u64::MAX)).or_else(|| self.at(name).number())
    }

    /// A text without white space around it; none where it is empty.
    pub(crate) fn text(self) -> Option<&'a str> {
        self.0.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// As [`text`](Self::text), owned and cut at `bytes_max`.
    pub(crate) fn owned(self, bytes_max: usize) -> Option<String> {
        self.text().map(|text| text[..text.floor_char_boundary(bytes_max)].to_owned())
    }

    /// True or false.
    pub(crate) fn truth(self) -> Option<bool> {
        self.0.and_then(Value::as_bool)
    }

    /// The first `count_max` elements of a list.
    pub(crate) fn items(self, count_max: usize) -> impl Iterator<Item = Field<'a>> {
        let items = self.0.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().take(count_max).map(|item| Self(Some(item)))
    }

    /// The members of an object whose name is `prefix` and a number, at most `count_max`, by number.
    pub(crate) fn numbered(self, prefix: &str, count_max: usize) -> Vec<(u32, Field<'a>)> {
        let members = self.0.and_then(Value::as_object).into_iter().flatten();
        let mut found: Vec<_> = members
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.parse().ok()?, Self(Some(value)))))
            .collect();
        found.sort_by_key(|(number, _)| *number);
        found.truncate(count_max);
        found
    }
}
