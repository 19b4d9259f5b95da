//! A filter, understood.

use std::sync::Arc;

use super::doc::Doc;
use super::facts::View;
use super::number::Decimal;
use super::operand::Operand;
use super::regexp::Pattern;

/// One condition, with the conditions inside it.
#[derive(Debug)]
pub(crate) enum Condition {
    /// The value of a property passes a test.
    Value {
        doc: Doc,
        test: Test,
    },
    /// A property is there, or is not.
    Exists {
        doc: Doc,
        wanted: bool,
    },
    /// A property is not what it was.
    Changed(Change),
    Not(Box<Condition>),
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
}

/// What a value is asked.
#[derive(Debug)]
pub(crate) enum Test {
    Equals(Operand),
    In(Choice),
    Regexp(Arc<Pattern>),
    StartsWith(Box<str>),
    Compare(Relation, Decimal<'static>),
}

impl Test {
    /// Equality with one of some texts.
    pub(crate) fn one_of(texts: &[String]) -> Self {
        let operands = texts.iter().map(|text| Operand::Text(text.as_str().into()));
        Self::In(Choice::new(operands.collect()))
    }
}

/// How a number stands to a bound.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Which two values are compared.
#[derive(Debug)]
pub(crate) enum Change {
    /// One path, followed in what was before and in what is now.
    Of(Doc),
    /// Two paths of the payload.
    Between(Doc, Doc),
}

/// The values of an `in`. Texts are looked up by halving, since they may be many.
#[derive(Debug)]
pub(crate) struct Choice {
    texts: Box<[Box<str>]>,
    others: Box<[Operand]>,
}

impl Choice {
    pub(crate) fn new(operands: Vec<Operand>) -> Self {
        let (mut texts, mut others) = (Vec::new(), Vec::new());
        for operand in operands {
            match operand {
                Operand::Text(text) => texts.push(text),
                other => others.push(other),
            }
        }
        texts.sort_unstable();
        texts.dedup();
        Self {
            texts: texts.into(),
            others: others.into(),
        }
    }

    pub(crate) fn has(&self, value: View<'_, '_>) -> bool {
        match value {
            View::Text(text) => self.texts.binary_search_by(|own| (**own).cmp(text)).is_ok(),
            other => self.others.iter().any(|own| own.is(other)),
        }
    }

    /// The texts, if there is nothing else.
    pub(crate) fn only_texts(&self) -> Option<&[Box<str>]> {
        self.others.is_empty().then_some(&*self.texts)
    }
}
