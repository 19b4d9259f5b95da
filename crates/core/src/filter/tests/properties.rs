use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Facts, Filters, Patterns, Truth, Unobserved, check};
use super::{event, judge};

/// JSON values from a small world, so that conditions often meet what they ask for.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4_i32).prop_map(Value::from),
        (0..4_i32).prop_map(|n| json!(f64::from(n) + 0.5)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn any_doc() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => "[abc](\\.[abc01]){0,2}",
        1 => "/payload(/[abc01]){0,2}",
        1 => Just("sys.id".to_owned()),
        1 => Just("entity.locales".to_owned()),
    ]
    .prop_map(|doc| json!({ "doc": doc }))
}

pub(crate) fn any_filter() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (any_doc(), any_value()).prop_map(|(doc, value)| json!({"equals": [doc, value]})),
        (any_doc(), prop::collection::vec(any_value(), 0..4))
            .prop_map(|(doc, values)| json!({"in": [doc, values]})),
        (any_doc(), "[ab.]{0,2}").prop_map(|(doc, p)| json!({"regexp": [doc, {"pattern": p}]})),
        (any_doc(), "[ab]{0,2}").prop_map(|(doc, prefix)| json!({"startsWith": [doc, prefix]})),
        (
            any_doc(),
            0..4_i32,
            prop::sample::select(vec!["lt", "lte", "gt", "gte"])
        )
            .prop_map(|(doc, bound, operator)| json!({operator: [doc, bound]})),
        (any_doc(), any::<bool>()).prop_map(|(doc, wanted)| json!({"exists": [doc, wanted]})),
        any_doc().prop_map(|doc| json!({"changed": [doc]})),
        (any_doc(), any_doc()).prop_map(|(one, other)| json!({"changed": [one, other]})),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| json!({ "not": inner })),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({ "any": parts })),
            prop::collection::vec(inner, 1..4).prop_map(|parts| json!({ "all": parts })),
        ]
    })
}

/// Payloads, some with two versions of an entity.
pub(crate) fn any_payload() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::btree_map("[abc]", any_value(), 0..4).prop_map(|map| json!(map)),
        (any_value(), any_value()).prop_map(|(b, a)| json!({"before": b, "after": a, "a": b})),
    ]
    .prop_map(|value| value.to_string())
}

proptest! {
    #[test]
    fn denying_twice_changes_nothing(filter in any_filter(), payload in any_payload()) {
        let event = event(&payload);
        let truth = judge(&filter, &event);
        prop_assert_eq!(judge(&json!({"not": {"not": &filter}}), &event), truth);
        prop_assert_eq!(judge(&json!({"not": filter}), &event), truth.not());
    }

    #[test]
    fn de_morgan_holds(
        parts in prop::collection::vec(any_filter(), 1..4), payload in any_payload(),
    ) {
        let event = event(&payload);
        let denied: Vec<Value> = parts.iter().map(|part| json!({ "not": part })).collect();
        prop_assert_eq!(
            judge(&json!({"not": {"any": &parts}}), &event),
            judge(&json!({ "all": denied }), &event)
        );
    }

    #[test]
    fn the_order_of_filters_does_not_matter(
        filters in prop::collection::vec(any_filter(), 0..5), payload in any_payload(),
    ) {
        let event = event(&payload);
        let judge_list = |list: &[Value]| {
            let filters = Filters::parse(list, &mut Patterns::default()).unwrap();
            filters.judge(&Facts::new(&event), &mut Unobserved)
        };
        let mut turned = filters.clone();
        turned.reverse();
        prop_assert_eq!(judge_list(&filters), judge_list(&turned));
        // The list is an `all`, and one look at the event serves many filters.
        let facts = Facts::new(&event);
        let one_by_one = filters
            .iter()
            .map(|filter| {
                let filters = Filters::parse(std::slice::from_ref(filter), &mut Patterns::default());
                filters.unwrap().judge(&facts, &mut Unobserved)
            })
            .min()
            .unwrap_or(Truth::Yes);
        prop_assert_eq!(judge_list(&filters), one_by_one);
    }

    #[test]
    fn no_json_makes_the_reader_panic_and_what_it_takes_can_be_judged(
        filter in any_shape(), payload in any_payload(),
    ) {
        if check(std::slice::from_ref(&filter)).is_empty() {
            let _ = judge(&filter, &event(&payload));
        }
    }

    #[test]
    fn a_fault_points_at_what_is_there_or_at_what_is_unknown(filter in any_shape()) {
        let definition = json!({ "filters": [filter] });
        for fault in check(definition["filters"].as_array().unwrap()) {
            prop_assert!(definition.pointer(&fault.pointer).is_some(), "{}", fault);
        }
    }
}

/// JSON that looks like filters, and often is none.
fn any_shape() -> impl Strategy<Value = Value> {
    let names = [
        "equals",
        "in",
        "regexp",
        "not",
        "exists",
        "startsWith",
        "lt",
        "changed",
        "any",
        "all",
        "doc",
        "pattern",
        "a/b~c",
    ];
    let leaf = prop_oneof![
        any_value(),
        any_doc(),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        any::<String>().prop_map(|pattern| json!({ "pattern": pattern })),
    ];
    leaf.prop_recursive(5, 24, 3, move |inner| {
        let name = prop::sample::select(names.to_vec());
        prop_oneof![
            (name, inner.clone()).prop_map(|(name, inner)| json!({ name: inner })),
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// Patterns that take exponential time in a backtracking engine, and the heaviest that fit the
/// limits of this one. A look is far below a second even in a build without optimisation.
#[test]
fn catastrophic_patterns_take_little_time() {
    let text = "a".repeat(1_024);
    let event = event(&json!({ "t": text }).to_string());
    for pattern in [
        "^(a+)+$",
        "^(a|a)*b$",
        "(a*)*b",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(x+x+)+y",
        "(?:a?){60}a{60}b",
        "(?-u:(a?){1000}[c-z])",
        "(?-u:[ab]*a[ab]{1000}[c-z])",
    ] {
        let filter = json!({"regexp": [{"doc": "t"}, {"pattern": pattern}]});
        if !check(std::slice::from_ref(&filter)).is_empty() {
            continue;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the time that passes is what is tested"
        )]
        let begun = Instant::now();
        let _ = judge(&filter, &event);
        let passed = begun.elapsed();
        assert!(
            passed < Duration::from_secs(10),
            "{pattern} took {passed:?}"
        );
    }
}
