//! From JSON to conditions. Whatever is not understood is refused with its place.

use serde_json::{Map, Value};

use super::condition::{Change, Choice, Condition, Relation, Test};
use super::doc::Doc;
use super::operand::{Operand, OperandError, read_number};
use super::regexp::Patterns;
use crate::webhook::FieldError;

/// How many conditions a webhook may have, those inside others included.
pub(super) const CONDITIONS_MAX: usize = 50;
/// How deep conditions may stand inside others.
const DEPTH_MAX: usize = 8;
/// How many of them may be regular expressions.
const REGEXPS_MAX: usize = 10;

const OPERATORS: &str = "equals, in, regexp, not, exists, startsWith, lt, lte, gt, gte, changed, \
                         any, all";

/// Reads the filters of one webhook and counts what they hold.
#[derive(Debug)]
pub(super) struct Parser<'p> {
    patterns: &'p mut Patterns,
    conditions: usize,
    regexps: usize,
}

impl<'p> Parser<'p> {
    pub(super) fn new(patterns: &'p mut Patterns) -> Self {
        Self {
            patterns,
            conditions: 0,
            regexps: 0,
        }
    }

    /// Reads the condition at the JSON pointer `at`, which stands `depth` levels deep.
    pub(super) fn condition(
        &mut self,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Condition, FieldError> {
        self.count(at, depth)?;
        let (operator, arguments) = operator_of(value, at)?;
        let at = format!("{at}/{}", escape(operator));
        match operator {
            "equals" | "in" | "regexp" | "startsWith" | "lt" | "lte" | "gt" | "gte" => {
                self.value(operator, arguments, &at)
            }
            "exists" => exists(arguments, &at),
            "changed" => changed(arguments, &at),
            "not" => {
                let denied = self.condition(arguments, &at, depth + 1)?;
                Ok(Condition::Not(Box::new(denied)))
            }
            "all" => Ok(Condition::All(self.parts(arguments, &at, depth)?)),
            "any" => Ok(Condition::Any(self.parts(arguments, &at, depth)?)),
            _ => {
                let detail = format!("there is no such condition; there are {OPERATORS}");
                Err(fault(&at, "unknown_operator", detail))
            }
        }
    }

    fn count(&mut self, at: &str, depth: usize) -> Result<(), FieldError> {
        if depth > DEPTH_MAX {
            let detail = format!("it stands more than {DEPTH_MAX} levels deep");
            return Err(fault(at, "too_deep", detail));
        }
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            let detail = format!("the limit is {CONDITIONS_MAX} conditions, nested ones included");
            return Err(fault(at, "too_many", detail));
        }
        Ok(())
    }

    fn parts(
        &mut self,
        arguments: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Box<[Condition]>, FieldError> {
        let parts = arguments
            .as_array()
            .filter(|parts| !parts.is_empty())
            .ok_or_else(|| bad(at, "it must be a list of at least one condition"))?;
        parts
            .iter()
            .enumerate()
            .map(|(index, part)| self.condition(part, &format!("{at}/{index}"), depth + 1))
            .collect()
    }

    /// A condition of the form `[{"doc": …}, operand]`.
    fn value(
        &mut self,
        operator: &str,
        arguments: &Value,
        at: &str,
    ) -> Result<Condition, FieldError> {
        let Some([doc, operand]) = arguments.as_array().map(Vec::as_slice) else {
            return Err(bad(at, "it must be a list of two: `[{\"doc\": …}, value]`"));
        };
        let doc = read_doc(doc, &format!("{at}/0"))?;
        let at = format!("{at}/1");
        let test = match operator {
            "equals" => Test::Equals(read_operand(operand, &at)?),
            "in" => Test::In(read_choice(operand, &at)?),
            "regexp" => self.regexp(operand, &at)?,
            "startsWith" => Test::StartsWith(read_text(operand, &at)?.into()),
            "lt" => compare(Relation::Less, operand, &at)?,
            "lte" => compare(Relation::LessOrEqual, operand, &at)?,
            "gt" => compare(Relation::Greater, operand, &at)?,
            _ => compare(Relation::GreaterOrEqual, operand, &at)?,
        };
        Ok(Condition::Value { doc, test })
    }

    fn regexp(&mut self, operand: &Value, at: &str) -> Result<Test, FieldError> {
        self.regexps += 1;
        if self.regexps > REGEXPS_MAX {
            let detail = format!("the limit is {REGEXPS_MAX} regular expressions; use fewer");
            return Err(fault(at, "too_many", detail));
        }
        let pattern = only_member(operand, "pattern", at)?;
        let at = format!("{at}/pattern");
        self.patterns
            .get(read_text(pattern, &at)?)
            .map(Test::Regexp)
            .map_err(|error| fault(&at, "bad_regexp", error.to_string()))
    }
}

fn exists(arguments: &Value, at: &str) -> Result<Condition, FieldError> {
    let (doc, wanted) = match arguments.as_array().map(Vec::as_slice) {
        Some([doc]) => (doc, true),
        Some([doc, Value::Bool(wanted)]) => (doc, *wanted),
        Some([_, _]) => return Err(bad(&format!("{at}/1"), "it must be true or false")),
        _ => return Err(bad(at, "it must be `[{\"doc\": …}, true]`, or false")),
    };
    let doc = read_doc(doc, &format!("{at}/0"))?;
    Ok(Condition::Exists { doc, wanted })
}

fn changed(arguments: &Value, at: &str) -> Result<Condition, FieldError> {
    let change = match arguments.as_array().map(Vec::as_slice) {
        Some([doc]) => Change::Of(read_doc(doc, &format!("{at}/0"))?),
        Some([before, after]) => Change::Between(
            read_doc(before, &format!("{at}/0"))?,
            read_doc(after, &format!("{at}/1"))?,
        ),
        _ => return Err(bad(at, "it must be `[{\"doc\": …}]`, or two of them")),
    };
    Ok(Condition::Changed(change))
}

fn compare(relation: Relation, operand: &Value, at: &str) -> Result<Test, FieldError> {
    let Value::Number(number) = operand else {
        return Err(bad(at, "it must be a number"));
    };
    let bound = read_number(number).map_err(|error| bad_operand(at, error))?;
    Ok(Test::Compare(relation, bound))
}

fn read_choice(operand: &Value, at: &str) -> Result<Choice, FieldError> {
    let values = operand
        .as_array()
        .ok_or_else(|| bad(at, "it must be a list of values"))?;
    let operands: Result<_, _> = values
        .iter()
        .enumerate()
        .map(|(index, value)| read_operand(value, &format!("{at}/{index}")))
        .collect();
    Ok(Choice::new(operands?))
}

fn read_operand(value: &Value, at: &str) -> Result<Operand, FieldError> {
    Operand::parse(value).map_err(|error| bad_operand(at, error))
}

fn read_doc(value: &Value, at: &str) -> Result<Doc, FieldError> {
    let doc = only_member(value, "doc", at)?;
    let at = format!("{at}/doc");
    Doc::parse(read_text(doc, &at)?).map_err(|error| fault(&at, "bad_doc", error.to_string()))
}

fn read_text<'v>(value: &'v Value, at: &str) -> Result<&'v str, FieldError> {
    value.as_str().ok_or_else(|| bad(at, "it must be a string"))
}

fn operator_of<'v>(value: &'v Value, at: &str) -> Result<(&'v str, &'v Value), FieldError> {
    value.as_object().and_then(single).ok_or_else(|| {
        let detail = format!("it must be an object with one of {OPERATORS}");
        bad(at, detail)
    })
}

fn only_member<'v>(value: &'v Value, name: &str, at: &str) -> Result<&'v Value, FieldError> {
    match value.as_object().and_then(single) {
        Some((own, member)) if own == name => Ok(member),
        _ => Err(bad(at, format!("it must be an object with `{name}` alone"))),
    }
}

fn single(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Some((name, value)),
        _ => None,
    }
}

/// Escapes a member's name for a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn bad_operand(at: &str, error: OperandError) -> FieldError {
    fault(at, "bad_value", error.to_string())
}

fn bad(at: &str, detail: impl Into<String>) -> FieldError {
    fault(at, "bad_filter", detail)
}

pub(super) fn fault(at: &str, code: &'static str, detail: impl Into<String>) -> FieldError {
    FieldError {
        pointer: at.to_owned(),
        code,
        detail: detail.into(),
    }
}
