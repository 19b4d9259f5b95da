use serde_json::{Value, json};

use super::super::check;

/// The only fault of one filter, without `/filters/0`.
fn fault(filter: &Value) -> (String, &'static str, String) {
    let faults = check(std::slice::from_ref(filter));
    assert_eq!(faults.len(), 1, "{filter}: {faults:?}");
    let fault = faults.into_iter().next().unwrap();
    let place = fault.pointer.strip_prefix("/filters/0").unwrap().to_owned();
    (place, fault.code, fault.detail)
}

/// Asserts where each filter is refused, and by which code.
fn assert_refused(table: &[(Value, &str, &str)]) {
    for (filter, pointer, code) in table {
        let (found, found_code, detail) = fault(filter);
        assert_eq!(
            (&*found, found_code),
            (*pointer, *code),
            "{filter}: {detail}"
        );
        assert!(!detail.is_empty() && !detail.contains('\n'), "{detail:?}");
    }
}

#[test]
fn forms_that_are_not_understood_are_refused_with_their_place() {
    let doc = json!({"doc": "sys.id"});
    assert_refused(&[
        (json!(null), "", "bad_filter"),
        (json!("equals"), "", "bad_filter"),
        (json!([]), "", "bad_filter"),
        (json!({}), "", "bad_filter"),
        (
            json!({"equals": [doc, "x"], "in": [doc, []]}),
            "",
            "bad_filter",
        ),
        (json!({"equal": [doc, "x"]}), "/equal", "unknown_operator"),
        (json!({"a/b~": 1}), "/a~1b~0", "unknown_operator"),
        (json!({"equals": "x"}), "/equals", "bad_filter"),
        (json!({"equals": []}), "/equals", "bad_filter"),
        (json!({"equals": [doc]}), "/equals", "bad_filter"),
        (json!({"equals": [doc, "x", "y"]}), "/equals", "bad_filter"),
        (json!({"exists": doc}), "/exists", "bad_filter"),
        (json!({"exists": [doc, "yes"]}), "/exists/1", "bad_filter"),
        (json!({"exists": [1, true]}), "/exists/0", "bad_filter"),
        (json!({"changed": []}), "/changed", "bad_filter"),
        (
            json!({"changed": [doc, doc, doc]}),
            "/changed",
            "bad_filter",
        ),
    ]);
}

#[test]
fn properties_that_are_not_understood_are_refused_with_their_place() {
    let doc = json!({"doc": "sys.id"});
    assert_refused(&[
        (
            json!({"equals": ["sys.id", "x"]}),
            "/equals/0",
            "bad_filter",
        ),
        (json!({"equals": ["x", doc]}), "/equals/0", "bad_filter"),
        (
            json!({"equals": [{"doc": "a", "b": 1}, "x"]}),
            "/equals/0",
            "bad_filter",
        ),
        (
            json!({"equals": [{"doc": 1}, "x"]}),
            "/equals/0/doc",
            "bad_filter",
        ),
        (
            json!({"equals": [{"doc": "sys..id"}, "x"]}),
            "/equals/0/doc",
            "bad_doc",
        ),
        (
            json!({"equals": [{"doc": "/sys/id"}, "x"]}),
            "/equals/0/doc",
            "bad_doc",
        ),
        (
            json!({"changed": [doc, {"doc": ""}]}),
            "/changed/1/doc",
            "bad_doc",
        ),
    ]);
}

#[test]
fn values_that_are_not_understood_are_refused_with_their_place() {
    let doc = json!({"doc": "sys.id"});
    let long = "a".repeat(1_025);
    assert_refused(&[
        (json!({"equals": [doc, 1e300]}), "/equals/1", "bad_value"),
        (
            json!({"equals": [doc, [[[[[[[[[1]]]]]]]]]]}),
            "/equals/1",
            "bad_value",
        ),
        (json!({"in": [doc, "x"]}), "/in/1", "bad_filter"),
        (json!({"in": [doc, ["x", 1e300]]}), "/in/1/1", "bad_value"),
        (json!({"regexp": [doc, "^x"]}), "/regexp/1", "bad_filter"),
        (
            json!({"regexp": [doc, {"pattern": "x", "flags": "i"}]}),
            "/regexp/1",
            "bad_filter",
        ),
        (
            json!({"regexp": [doc, {"pattern": 1}]}),
            "/regexp/1/pattern",
            "bad_filter",
        ),
        (
            json!({"regexp": [doc, {"pattern": "("}]}),
            "/regexp/1/pattern",
            "bad_regexp",
        ),
        (
            json!({"regexp": [doc, {"pattern": long}]}),
            "/regexp/1/pattern",
            "bad_regexp",
        ),
        (
            json!({"startsWith": [doc, 1]}),
            "/startsWith/1",
            "bad_filter",
        ),
        (json!({"lt": [doc, "1"]}), "/lt/1", "bad_filter"),
        (
            json!({"gte": [doc, 1.000_000_000_000_000_2]}),
            "/gte/1",
            "bad_value",
        ),
    ]);
}

#[test]
fn faults_inside_others_are_found() {
    let doc = json!({"doc": "sys.id"});
    let exists = json!({"exists": [doc]});
    assert_refused(&[
        (json!({"not": [exists]}), "/not", "bad_filter"),
        (
            json!({"not": {"equals": [doc]}}),
            "/not/equals",
            "bad_filter",
        ),
        (json!({"any": []}), "/any", "bad_filter"),
        (json!({"all": exists}), "/all", "bad_filter"),
        (
            json!({"any": [exists, {"not": {"or": 1}}]}),
            "/any/1/not/or",
            "unknown_operator",
        ),
    ]);
}

#[test]
fn every_filter_tells_its_own_fault() {
    let good = json!({"exists": [{"doc": "sys.id"}]});
    let faults = check(&[json!(1), good, json!({"in": 2})]);
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/filters/0", "/filters/2/in"]);
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| {
        (1..levels).fold(json!({"exists": [{"doc": "a"}]}), |inner, level| {
            match level % 2 {
                0 => json!({"not": inner}),
                _ => json!({"any": [inner]}),
            }
        })
    };
    assert!(check(&[nested(8)]).is_empty());
    let (_, code, _) = fault(&nested(9));
    assert_eq!(code, "too_deep");
    let (_, code, _) = fault(&nested(40));
    assert_eq!(code, "too_deep");
}

#[test]
fn the_number_of_conditions_is_limited() {
    let condition = json!({"exists": [{"doc": "a"}]});
    assert!(check(&vec![condition.clone(); 50]).is_empty());
    let faults = check(&vec![condition.clone(); 51]);
    assert_eq!(
        (faults[0].pointer.as_str(), faults[0].code),
        ("/filters", "too_many")
    );
    assert!(check(&[json!({"any": vec![condition.clone(); 49]})]).is_empty());
    let (pointer, code, _) = fault(&json!({"any": vec![condition; 50]}));
    assert_eq!((pointer.as_str(), code), ("/any/49", "too_many"));
    let pattern = json!({"regexp": [{"doc": "a"}, {"pattern": "x"}]});
    assert!(check(&[json!({"all": vec![pattern.clone(); 10]})]).is_empty());
    let (pointer, code, _) = fault(&json!({"all": vec![pattern; 11]}));
    assert_eq!((pointer.as_str(), code), ("/all/10/regexp/1", "too_many"));
}

#[test]
fn the_size_is_limited() {
    let filter = |length: usize| json!({"equals": [{"doc": "a"}, "x".repeat(length)]});
    assert!(check(&[filter(16_000)]).is_empty());
    let faults = check(&[filter(16_384)]);
    assert_eq!(
        (faults[0].pointer.as_str(), faults[0].code),
        ("/filters", "too_large")
    );
}

#[test]
fn contentfuls_own_examples_are_understood() {
    let examples = json!([
        {"equals": [{"doc": "sys.id"}, "main_nav"]},
        {"in": [{"doc": "sys.environment.sys.id"}, ["testing", "staging"]]},
        {"regexp": [{"doc": "sys.environment.sys.id"}, {"pattern": "^ci-.+$"}]},
        {"not": {"equals": [{"doc": "sys.environment.sys.id"}, "master"]}},
        {"not": {"in": [{"doc": "sys.contentType.sys.id"}, ["page", "nav"]]}},
        {"not": {"regexp": [{"doc": "sys.createdBy.sys.id"}, {"pattern": "^[0-9A-Za-z]{22}$"}]}},
        {"equals": [{"doc": "sys.updatedBy.sys.id"}, "4FLrUHftHW3v2BLi9fzfjU"]},
        {"equals": [{"doc": "sys.deletedBy.sys.id"}, "4FLrUHftHW3v2BLi9fzfjU"]}
    ]);
    assert_eq!(check(examples.as_array().unwrap()), []);
}

#[test]
fn the_operators_in_the_documentation_are_understood() {
    let text = include_str!("../../../../../docs/filters.md");
    let examples: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(example, _)| example)
        .filter(|example| example.starts_with('{') && !example.contains('…'))
        .map(|example| serde_json::from_str(example).unwrap())
        .collect();
    assert_eq!(examples.len(), 8);
    assert_eq!(check(&examples), []);
}
