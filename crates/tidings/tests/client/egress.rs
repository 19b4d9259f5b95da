//! `tidings egress`.

use serde_json::json;

use crate::broker::Broker;

#[tokio::test]
async fn an_address_is_announced_ahead_and_withdrawn() {
    let broker = Broker::provisioned().await;
    let empty = broker.json(&["egress", "list"]).await;
    let default = json!({"pool": "default", "addresses": [], "cidrs": []});
    assert_eq!(empty, json!({ "pools": [default] }));
    let later = "2099-01-01T00:00:00Z";
    for network in ["203.0.113.7", "2001:db8::/48"] {
        let arguments = ["egress", "announce", network, "--valid-from", later];
        broker.run(&arguments).await.succeeded();
    }
    let eu = ["egress", "announce", "198.51.100.1", "--pool", "eu"];
    broker.run(&eu).await.succeeded();
    let listed = broker.json(&["egress", "list"]).await;
    let own = &listed["pools"][0];
    let address = json!([{"address": "203.0.113.7", "validFrom": later}]);
    let cidr = json!([{"cidr": "2001:db8::/48", "validFrom": later}]);
    assert_eq!((&own["addresses"], &own["cidrs"]), (&address, &cidr));
    assert_eq!(listed["pools"][1]["pool"], "eu");
    let table = broker.run(&["egress", "list"]).await.succeeded().stdout;
    assert!(
        table.contains("203.0.113.7 ") && table.contains("2001:db8::/48"),
        "{table}"
    );
    for network in ["203.0.113.7", "2001:db8::/48"] {
        broker
            .run(&["egress", "withdraw", network])
            .await
            .succeeded();
        let again = broker.run(&["egress", "withdraw", network]).await;
        again.failed(1, &[network, "egress list"]);
    }
    let listed = broker.json(&["egress", "list"]).await;
    assert_eq!(listed["pools"][0], default);
}

#[tokio::test]
async fn a_mistyped_network_is_named() {
    let broker = Broker::bare().await;
    let host_bits = ["egress", "announce", "203.0.113.5/28"];
    broker.run(&host_bits).await.failed(2, &["203.0.113.0/28"]);
    let missing = broker.run(&["egress", "list"]).await;
    missing.failed(1, &["tidings provision"]);
}
