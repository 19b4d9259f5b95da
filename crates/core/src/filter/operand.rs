//! The values that people write into conditions, and when two values are the same.

use std::collections::BTreeMap;

use super::facts::View;
use super::number::Decimal;
use super::payload::Node;

/// The deepest nesting of lists and objects in a value of a condition.
const DEPTH_MAX: usize = 8;
/// From here on, a number of a stored filter that is not whole has lost digits.
const FRACTION_BELOW: f64 = 9_007_199_254_740_992.0; // 2^53
const FRACTION_DIGITS_MAX: usize = 15;

/// A value to compare with.
#[derive(Debug)]
pub(crate) enum Operand {
    Null,
    Bool(bool),
    Number(Decimal<'static>),
    Text(Box<str>),
    List(Box<[Operand]>),
    Object(BTreeMap<Box<str>, Operand>),
}

/// Why a value cannot be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperandError {
    #[error(
        "the number cannot be compared exactly; use a whole number of up to 64 bits, or one with up \
         to {FRACTION_DIGITS_MAX} digits"
    )]
    Inexact,
    #[error("it is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl Operand {
    pub(crate) fn parse(value: &serde_json::Value) -> Result<Self, OperandError> {
        Self::parse_below(value, DEPTH_MAX)
    }

    fn parse_below(value: &serde_json::Value, depth: usize) -> Result<Self, OperandError> {
        let below = depth.checked_sub(1).ok_or(OperandError::TooDeep);
        Ok(match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(read_number(number)?),
            serde_json::Value::String(text) => Self::Text(text.as_str().into()),
            serde_json::Value::Array(elements) => {
                let below = below?;
                let elements: Result<_, _> = elements
                    .iter()
                    .map(|element| Self::parse_below(element, below))
                    .collect();
                Self::List(elements?)
            }
            serde_json::Value::Object(members) => {
                let below = below?;
                let members: Result<_, _> = members
                    .iter()
                    .map(|(name, member)| {
                        Ok((name.as_str().into(), Self::parse_below(member, below)?))
                    })
                    .collect();
                Self::Object(members?)
            }
        })
    }

    /// Whether a value is this one. Numbers by what they stand for, members in any order.
    pub(crate) fn is(&self, view: View<'_, '_>) -> bool {
        match (self, view) {
            (Self::Null, View::Null) => true,
            (Self::Bool(own), View::Bool(other)) => *own == other,
            (Self::Number(own), View::Number(other)) => own == other,
            (Self::Text(own), View::Text(other)) => **own == *other,
            (Self::List(own), View::Texts(_) | View::List(_)) => {
                own.len() == view.count()
                    && own
                        .iter()
                        .zip(view.elements())
                        .all(|(own, other)| own.is(other))
            }
            (Self::Object(own), View::Object(other)) => {
                own.len() == other.len()
                    && own.iter().all(|(name, own)| {
                        other
                            .get(&**name)
                            .and_then(View::of)
                            .is_some_and(|other| own.is(other))
                    })
            }
            _ => false,
        }
    }
}

/// A stored filter keeps whole numbers of 64 bits exactly, all others as a double. So only what a
/// double keeps is taken.
pub(crate) fn read_number(number: &serde_json::Number) -> Result<Decimal<'static>, OperandError> {
    let text = number.to_string();
    let decimal = Decimal::parse(&text).into_owned();
    let is_exact = match (number.is_f64(), number.as_f64()) {
        (false, _) => true,
        (true, Some(value)) => {
            value.abs() < FRACTION_BELOW && decimal.significant_digits() <= FRACTION_DIGITS_MAX
        }
        (true, None) => false,
    };
    match is_exact {
        true => Ok(decimal),
        false => Err(OperandError::Inexact),
    }
}

/// Whether two values of a payload are the same, as [`Operand::is`] understands it.
pub(crate) fn same(one: &Node<'_>, other: &Node<'_>) -> bool {
    if one.text() == other.text() {
        return true;
    }
    match (View::of(one), View::of(other)) {
        (Some(View::Null), Some(View::Null)) => true,
        (Some(View::Bool(one)), Some(View::Bool(other))) => one == other,
        (Some(View::Number(one)), Some(View::Number(other))) => one == other,
        (Some(View::Text(one)), Some(View::Text(other))) => one == other,
        (Some(View::List(one)), Some(View::List(other))) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Some(View::Object(one)), Some(View::Object(other))) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn is(operand: &Value, payload: &str) -> bool {
        let node = Node::parse(payload.as_bytes()).unwrap();
        Operand::parse(operand)
            .unwrap()
            .is(View::of(&node).unwrap())
    }

    #[test]
    fn values_are_the_same_by_type_and_content() {
        for (operand, payload, expected) in [
            (json!("a"), r#""a""#, true),
            (json!("a"), r#""\u0061""#, true),
            (json!("é"), r#""\u00e9""#, true),
            // No normalisation: e and a combining accent are two characters.
            (json!("é"), r#""e\u0301""#, false),
            (json!("a"), r#""A""#, false),
            (json!("7"), "7", false),
            (json!(7), "7", true),
            (json!(7), "7.0", true),
            (json!(7), "70e-1", true),
            (json!(9_007_199_254_740_993_i64), "9007199254740993", true),
            (json!(9_007_199_254_740_993_i64), "9007199254740992", false),
            (json!(u64::MAX), "18446744073709551616", false),
            (json!(0.1), "0.1", true),
            (json!(0.1), "0.1000000000000000055511151231257827", false),
            (json!(null), "null", true),
            (json!(null), "false", false),
            (json!(false), "0", false),
            (json!(true), "true", true),
            (json!([]), "[]", true),
            (json!([]), "{}", false),
            (json!([1, "b"]), r#"[1.0, "b"]"#, true),
            (json!([1, "b"]), r#"["b", 1]"#, false),
            (json!([1]), "[1, 2]", false),
            (
                json!({"a": 1, "b": [null]}),
                r#"{"b": [null], "a": 1}"#,
                true,
            ),
            (json!({"a": 1}), r#"{"a": 1, "b": 1}"#, false),
            (json!({"a": 1, "b": 1}), r#"{"a": 1, "c": 1}"#, false),
        ] {
            assert_eq!(is(&operand, payload), expected, "{operand} and {payload}");
        }
    }

    #[test]
    fn numbers_that_a_stored_filter_cannot_keep_are_refused() {
        for (text, is_kept) in [
            ("18446744073709551615", true),
            ("-9223372036854775808", true),
            ("18446744073709551616", false),
            ("1e16", false),
            ("4.50", true),
            ("0.123456789012345", true),
            ("0.12345678901234567", false),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Operand::parse(&value).is_ok(), is_kept, "{text}");
        }
    }

    proptest! {
        #[test]
        fn values_are_the_same_as_themselves_however_written(
            text in r#"(-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?|"[a-zé]{0,5}"|null|true)"#,
            other in r#"(-?(0|[1-9])(\.[0-9])?([eE][+-]?[0-2])?|"[ab]{0,1}"|null|true)"#,
        ) {
            let (compact, spaced) = (format!("[{text},{{\"x\":{other}}}]"), format!("[ {text} ,\n{{ \"x\" : {other} }}]"));
            let (one, two) = (Node::parse(compact.as_bytes()).unwrap(), Node::parse(spaced.as_bytes()).unwrap());
            prop_assert!(same(&one, &two) && same(&two, &one));
            let changed = format!("[{text},{{\"y\":{other}}}]");
            prop_assert!(!same(&one, &Node::parse(changed.as_bytes()).unwrap()));
        }
    }
}
