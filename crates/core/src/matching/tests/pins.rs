use super::super::pin::Pins;
use super::*;

#[test]
fn a_webhook_is_pinned_to_the_most_telling_property_it_needs() {
    let id = |value: &str| json!({"equals": [{"doc": "sys.id"}, value]});
    let environment = json!({"equals": [{"doc": "sys.environment.sys.id"}, "master"]});
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for (content_types, filters, expected) in [
        (json!([]), json!([]), None),
        (json!([]), json!([environment]), Some((2, vec!["master"]))),
        (
            json!(["b", "a"]),
            json!([environment]),
            Some((1, vec!["a", "b"])),
        ),
        (
            json!(["a"]),
            json!([environment, id("x")]),
            Some((0, vec!["x"])),
        ),
        (
            json!([]),
            json!([{"in": [{"doc": "sys.id"}, ["x", "y"]]}, id("x")]),
            Some((0, vec!["x"])),
        ),
        (
            json!([]),
            json!([{"all": [environment, {"all": [id("x")]}]}]),
            Some((0, vec!["x"])),
        ),
        (json!([]), json!([{"any": [id("x")]}]), None),
        (json!([]), json!([{"not": id("x")}]), None),
        (
            json!([]),
            json!([{"in": [{"doc": "sys.id"}, ["x", 1]]}]),
            None,
        ),
        (json!([]), json!([{"in": [{"doc": "sys.id"}, many]}]), None),
        (
            json!([]),
            json!([{"equals": [{"doc": "entity.id"}, "x"]}]),
            None,
        ),
        (
            json!([]),
            json!([{"startsWith": [{"doc": "sys.id"}, "x"]}]),
            None,
        ),
    ] {
        let definition =
            json!({"topics": ["*.*"], "contentTypes": content_types, "filters": filters});
        let subscriber = subscriber("wh_1", definition.clone());
        let found = Pins::of(&subscriber.wants)
            .best
            .map(|pin| (pin.property, pin.values));
        assert_eq!(found, expected, "{definition}");
    }
}
