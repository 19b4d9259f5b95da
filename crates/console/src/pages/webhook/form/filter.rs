//! Filters as rows of a form: a property, a condition and a value.

use serde_json::{Value, json};

use super::{Form, Op};

const OPS: [(&str, &str); 6] = [
    ("equals", "is"),
    ("not equals", "is not"),
    ("in", "is one of"),
    ("not in", "is none of"),
    ("regexp", "matches"),
    ("not regexp", "does not match"),
];

/// A filter's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FilterRow {
    pub(crate) doc: String,
    pub(crate) op: String,
    pub(crate) value: String,
}

/// A filter's row as the template wants it.
#[derive(Debug)]
pub(crate) struct ShownFilter<'a> {
    pub(crate) index: usize,
    pub(crate) number: usize,
    pub(crate) pointer: String,
    pub(crate) doc: &'a str,
    op: &'a str,
    pub(crate) value: &'a str,
}

impl ShownFilter<'_> {
    pub(crate) fn ops(&self) -> Vec<Op> {
        let op = |(value, text): &(&'static str, &'static str)| Op {
            value,
            text,
            chosen: *value == self.op,
        };
        OPS.iter().map(op).collect()
    }
}

impl Form {
    pub(crate) fn filter_rows(&self) -> Vec<ShownFilter<'_>> {
        let rows = self.filters.iter().enumerate();
        rows.map(|(index, row)| ShownFilter {
            index,
            number: index + 1,
            pointer: format!("/filters/{index}"),
            doc: &row.doc,
            op: &row.op,
            value: &row.value,
        })
        .collect()
    }
}

impl FilterRow {
    pub(super) fn is_empty(&self) -> bool {
        self.doc.is_empty() && self.value.is_empty()
    }

    /// The filter that it stands for.
    pub(super) fn filter(&self) -> Value {
        let (is_denied, op) = match self.op.strip_prefix("not ") {
            Some(op) => (true, op),
            None => (false, self.op.as_str()),
        };
        let doc = json!({ "doc": self.doc });
        let filter = match op {
            "in" => {
                let values = self.value.split(',').map(|part| scalar(part.trim()));
                json!({ "in": [doc, values.collect::<Vec<_>>()] })
            }
            "regexp" => json!({ "regexp": [doc, { "pattern": self.value }] }),
            _ => json!({ "equals": [doc, scalar(&self.value)] }),
        };
        match is_denied {
            true => json!({ "not": filter }),
            false => filter,
        }
    }

    /// As somebody would say it.
    fn words(&self) -> String {
        let op = OPS.iter().find(|(value, _)| *value == self.op);
        let op = op.map_or("", |(_, text)| text);
        format!("{} {op} {}", self.doc, self.value)
    }

    /// The row that stands for a filter, if one does.
    pub(super) fn of(filter: &Value) -> Option<Self> {
        if let Some(inner) = filter.get("not") {
            let row = Self::of(inner)?;
            let is_plain = !row.op.starts_with("not ");
            return is_plain.then(|| Self {
                op: format!("not {}", row.op),
                ..row
            });
        }
        let object = filter.as_object().filter(|object| object.len() == 1)?;
        let (op, arguments) = object.iter().next()?;
        let [doc, wanted] = arguments.as_array()?.as_slice() else {
            return None;
        };
        let doc = doc.as_object().filter(|doc| doc.len() == 1)?;
        let value = match op.as_str() {
            "equals" => text(wanted)?,
            "in" => {
                let texts: Option<Vec<String>> = wanted.as_array()?.iter().map(text).collect();
                let texts = texts.filter(|texts| !texts.iter().any(|one| one.contains(',')))?;
                texts.join(", ")
            }
            "regexp" => {
                let pattern = wanted.as_object().filter(|pattern| pattern.len() == 1)?;
                pattern.get("pattern")?.as_str()?.to_owned()
            }
            _ => return None,
        };
        let row = Self {
            doc: doc.get("doc")?.as_str()?.to_owned(),
            op: op.clone(),
            value,
        };
        // What a row would write otherwise stays JSON.
        (row.filter() == *filter).then_some(row)
    }
}

/// A filter as people read it: in words, or as JSON if it is more than a row.
pub(crate) fn told(filter: &Value) -> String {
    FilterRow::of(filter).map_or_else(|| filter.to_string(), |row| row.words())
}

/// What somebody typed: a number, a truth value, a JSON text, or else the words themselves.
fn scalar(typed: &str) -> Value {
    match serde_json::from_str(typed) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null | Value::String(_))) => value,
        _ => Value::from(typed),
    }
}

/// A value as somebody would type it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(plain) if scalar(plain) == *value => Some(plain.clone()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_filters_are_the_same() {
        for filter in [
            json!({"equals": [{"doc": "sys.id"}, "home"]}),
            json!({"equals": [{"doc": "sys.revision"}, 7]}),
            json!({"equals": [{"doc": "fields.code"}, "7"]}),
            json!({"not": {"in": [{"doc": "sys.type"}, ["Asset", "Entry"]]}}),
            json!({"regexp": [{"doc": "sys.id"}, {"pattern": "^a,b"}]}),
        ] {
            let row = FilterRow::of(&filter).unwrap();
            assert_eq!(row.filter(), filter, "{row:?}");
        }
    }

    #[test]
    fn a_filter_is_told_in_words_if_there_are_some() {
        let filter = json!({"not": {"in": [{"doc": "sys.type"}, ["Asset", "Entry"]]}});
        assert_eq!(told(&filter), "sys.type is none of Asset, Entry");
        let filter = json!({"any": []});
        assert_eq!(told(&filter), filter.to_string());
    }

    #[test]
    fn what_no_row_can_say_stays_json() {
        for filter in [
            json!({"any": [{"equals": [{"doc": "a"}, 1]}]}),
            json!({"not": {"not": {"equals": [{"doc": "a"}, 1]}}}),
            json!({"equals": [{"doc": "a"}, {"b": 1}]}),
            json!({"in": [{"doc": "a"}, ["b,c"]]}),
            json!({"equals": [{"doc": "a"}]}),
            json!("nonsense"),
        ] {
            assert_eq!(FilterRow::of(&filter), None, "{filter}");
        }
    }
}
