//! Examples of the URL rules beside the corpus: codes, readings and what an operator changes.

use http::Uri;
use tidings_core::address::AddressPolicy;
use tidings_core::endpoint_url::{EndpointUrl, Host, Scheme, UrlPolicy, check_resolved};

fn code(url: &str, policy: &UrlPolicy) -> &'static str {
    EndpointUrl::parse(url, policy).map_or_else(|error| error.code(), |_| "ok")
}

fn parse(url: &str) -> EndpointUrl {
    EndpointUrl::parse(url, &UrlPolicy::default()).unwrap()
}

fn allowing(nets: &[&str]) -> AddressPolicy {
    let allow = nets.iter().map(|net| net.parse().unwrap()).collect();
    AddressPolicy {
        allow,
        deny: Vec::new(),
    }
}

#[test]
fn every_rule_has_its_stable_code() {
    let long_label = format!("https://{}.com/", "a".repeat(64));
    let long_name = format!("https://{}com/", "abcdefg.".repeat(32));
    let long_url = format!("https://example.com/{}", "a".repeat(2029));
    let grows_too_long = format!("https://example.com/{}", "é".repeat(400));
    for (url, expected) in [
        ("", "url_empty"),
        (&*long_url, "url_too_long"),
        (&grows_too_long, "url_too_long"),
        ("https://example.com/\u{85}", "url_character"),
        ("https://example.com\\x", "url_character"),
        ("ws://example.com/", "scheme_not_allowed"),
        ("https:/example.com/", "scheme_not_allowed"),
        ("https:\u{ff0f}\u{ff0f}example.com/", "scheme_not_allowed"),
        ("https:///example.com/", "host_missing"),
        ("https://?x", "host_missing"),
        ("https://:8443/", "host_missing"),
        ("https://example.com#", "fragment_not_allowed"),
        ("https://@example.com/", "userinfo_not_allowed"),
        ("https://example.com%2e/", "host_percent_encoded"),
        ("https://[2606:4700::1%25eth0]/", "host_percent_encoded"),
        ("https://[2606:4700::1/", "url_malformed"),
        ("https://[v1.a]/", "url_malformed"),
        ("https://example.com:70000/", "url_malformed"),
        ("https://xn--zz--.com/", "url_malformed"),
        ("https://example.com:/", "port_not_canonical"),
        ("https://example.com:0443/", "port_not_canonical"),
        ("https://1.1.1.1:00443/", "port_not_canonical"),
        ("https://[2606:4700::1]:0443/", "port_not_canonical"),
        ("https://example.com:0/", "port_not_allowed"),
        ("https://example.com:1023/", "port_not_allowed"),
        ("https://example.com:4190/", "port_not_allowed"),
        ("https://example.com:6697/", "port_not_allowed"),
        ("http://[::]/", "address_not_allowed"),
        ("http://1.2.3.256/", "address_malformed"),
        ("http://8.8.8.8.8/", "address_malformed"),
        ("http://8.8.8/", "address_not_canonical"),
        ("http://8.8.8.8./", "address_not_canonical"),
        ("http://8.8.8.\u{ff18}/", "address_not_canonical"),
        (&long_name, "host_name_too_long"),
        (&long_label, "host_name_label"),
        ("https://.example.com/", "host_name_label"),
        ("https://./", "host_name_label"),
        ("https://a,b.example.com/", "host_name_label"),
        ("https://*.example.com/", "host_name_label"),
        ("https://LOCALHOST./", "host_name_reserved"),
        ("https://a.Home.ARPA/", "host_name_reserved"),
        ("https://localhost6.localdomain6/", "host_name_reserved"),
        ("https://com./", "host_name_single_label"),
        ("https://\u{212a}elvin.com/", "host_name_not_canonical"),
        ("https://\u{17f}hop.com/", "host_name_not_canonical"),
        ("https://bu\u{308}cher.ch/", "host_name_not_canonical"),
        ("https://例え\u{3002}jp/", "host_name_not_canonical"),
        ("https://exam\u{ad}ple.com/", "host_name_not_canonical"),
    ] {
        assert_eq!(code(url, &UrlPolicy::default()), expected, "{url}");
    }
}

/// Own rows of the kinds of `ssrf-corpus.tsv`.
#[test]
fn no_spelling_leads_to_a_network_of_ours() {
    for url in [
        "http://[::ffff:0:127.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[0:0:0:0:0:0:127.0.0.1]/",
        "http://[::ffff:c0a8:0101]/",
        "http://[::ffff:169.254.169.254]:8080/",
        "http://[::ffff:0x7f.0.0.1]/",
        "http://[::ffff:127.1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[64:ff9b::c0a8:1]:8080/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2001:db8::1]/",
        "http://[2001:db8:ffff:ffff::]/",
        "http://[100::1]/",
        "http://[2001:3::1]/",
        "http://[::2]/",
        "http://[fe80::1%25en0]:8080/",
        "http://[fe80::1%en0]/",
        "http://[::1]:80@example.com/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://203.0.113.9/",
        "http://192.0.0.1/",
        "http://100.64.0.1/",
        "http://172.20.0.1:8080/",
        "http://255.255.255.255/",
        "http://0/",
        "http://0x0/",
        "http://00.0.0.0/",
        "http://0x7F000001./",
        "http://127.0.0.1%00.example.com/",
        "http://127.0.0.1%2eexample.com/",
        "http://127.0.0.1\u{ff0f}example.com/",
        "http://\u{661}\u{662}\u{667}.0.0.1/",
        "http://1\u{200d}27.0.0.1/",
        "http://127.0.0.1:80%40example.com/",
        "http://example.com:80:80/",
        "http://example.com:+80/",
        "http://example.com:0x50/",
        "http://example.com:\u{ff18}\u{ff10}/",
        "http://example.com:443a/",
        "http://example.com:65536/",
        "http://1.1.1.1:1/",
        "http://user:@example.com/",
        "http://:@example.com/",
        "http://example.com@/",
        "http://x.localdomain/",
        "http://a.b.local./",
        "http://a.INTERNAL/",
        "http://foo.example/",
        "https://example.com/\t",
        "https://example.com/\u{7f}",
        "\u{feff}https://example.com/",
        "https://example.com\u{200b}/",
        "https://exa\u{202e}mple.com/",
        "https:\\\\example.com/",
        "javascript:alert(1)",
        "//example.com/",
    ] {
        assert_ne!(code(url, &UrlPolicy::default()), "ok", "{url}");
    }
}

#[test]
fn unusual_urls_of_public_hosts_are_accepted() {
    let longest = format!("https://example.com/{}", "a".repeat(2028));
    let longest_name = format!("https://{}abcde/", "abcdefg.".repeat(31));
    for url in [
        &*longest,
        "https://example.com",
        "https://example.com:443/",
        "https://example.com/a:b@c%40",
        "https://example.com/[a]{b}|^`'\"<>",
        "https://example.com/?[a]{b}|^`'\"<>",
        "https://example.com/?a=http://u:p@127.0.0.1/",
        "https://XN--BCHER-KVA.ch/",
        "https://straße.de/",
        "https://ΣΊΣΥΦΟΣ.gr/",
        "https://ab--cd.example.com/",
        "https://r3---sn-a.example.com/",
        &*longest_name,
        "https://例え.テスト/",
        "https://faß.de/",
        "https://xn--fa-hia.de/",
        "https://☃.net/",
        "https://क्\u{200c}ष.com/",
        "https://أهلا.com/",
        "https://example.com/%zz%00",
        "https://_dmarc.example.com/",
        "https://1.example.com/",
        "https://example.co.1a/",
        "https://[2606:4700:4700:0:0:0:0:1111]/",
        "https://[2606:4700:4700::ABCD]/",
        "https://[2606:4700::5efe:8.8.8.8]/",
    ] {
        assert_eq!(code(url, &UrlPolicy::default()), "ok", "{url}");
    }
}

#[test]
fn the_text_stays_and_the_call_is_canonical() {
    let url = parse("HTTPS://B\u{dc}CHER.ch.:8443/a/../\u{e9}?q=\u{e9}");
    assert_eq!(
        url.as_str(),
        "HTTPS://B\u{dc}CHER.ch.:8443/a/../\u{e9}?q=\u{e9}"
    );
    assert_eq!(serde_json::to_value(&url).unwrap(), url.as_str());
    assert_eq!(
        url.canonical(),
        "https://xn--bcher-kva.ch:8443/%C3%A9?q=%C3%A9"
    );
    assert_eq!(url.host(), Host::Name("xn--bcher-kva.ch"));
    assert_eq!((url.scheme(), url.port()), (Scheme::Https, 8443));
    assert_eq!(Uri::from(&url), url.canonical());
    assert_eq!(url.origin(), "https://xn--bcher-kva.ch:8443");
}

#[test]
fn a_port_that_is_not_written_follows_the_scheme() {
    assert_eq!(parse("http://example.com/").port(), 80);
    assert_eq!(parse("https://example.com/").port(), 443);
    assert_eq!(parse("http://example.com:443/").port(), 443);
}

#[test]
fn path_and_query_are_not_logged() {
    let shown = format!(
        "{:?}",
        parse("https://hooks.example.com/T0/s3cret?token=s3cret")
    );
    assert_eq!(shown, "EndpointUrl(\"https://hooks.example.com\")");
}

#[test]
fn local_names_and_allowed_addresses_are_for_the_operator_to_open() {
    let dev = UrlPolicy {
        address: allowing(&["127.0.0.0/8", "::1/128"]),
        https_only: false,
        allow_local_names: true,
    };
    for (url, expected) in [
        ("http://localhost:3000/hook", "ok"),
        ("http://127.0.0.1:3000/hook", "ok"),
        ("http://[::1]:3000/hook", "ok"),
        ("http://build/hook", "ok"),
        ("http://api.test/hook", "ok"),
        ("http://0.0.0.0:3000/hook", "address_not_allowed"),
        ("http://10.0.0.1/hook", "address_not_allowed"),
        ("http://169.254.169.254/hook", "address_not_allowed"),
        ("http://127.1:3000/hook", "address_not_canonical"),
        ("http://localhost:22/hook", "port_not_allowed"),
        ("http://-a/hook", "host_name_label"),
    ] {
        assert_eq!(code(url, &dev), expected, "{url}");
    }
}

#[test]
fn https_only_refuses_plain_text() {
    let policy = UrlPolicy {
        https_only: true,
        ..UrlPolicy::default()
    };
    assert_eq!(code("http://example.com/", &policy), "https_required");
    assert_eq!(code("https://example.com/", &policy), "ok");
}

#[test]
fn a_narrower_policy_stops_a_url_that_an_earlier_one_let_through() {
    let wide = UrlPolicy {
        address: allowing(&["10.0.0.0/8"]),
        https_only: false,
        allow_local_names: true,
    };
    let narrow = UrlPolicy {
        https_only: true,
        ..UrlPolicy::default()
    };
    for (url, expected) in [
        ("http://example.com/", "https_required"),
        ("https://10.0.0.1/", "address_not_allowed"),
        ("https://localhost/", "host_name_reserved"),
        ("https://build/", "host_name_single_label"),
    ] {
        let endpoint = EndpointUrl::parse(url, &wide).unwrap();
        assert_eq!(wide.recheck(&endpoint), Ok(()));
        assert_eq!(
            narrow.recheck(&endpoint).unwrap_err().code(),
            expected,
            "{url}"
        );
    }
}

#[test]
fn one_denied_address_denies_the_name() {
    let resolved = |ips: &[&str]| {
        let addresses: Vec<_> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let found = check_resolved(&addresses, &AddressPolicy::default());
        found.map_or_else(|error| error.code(), |()| "ok")
    };
    assert_eq!(resolved(&["93.184.216.34", "2606:2800::1"]), "ok");
    assert_eq!(resolved(&["93.184.216.34", "::1"]), "address_not_allowed");
    assert_eq!(resolved(&[]), "dns_no_address");
    assert_eq!(resolved(&["93.184.216.34"; 64]), "ok");
    assert_eq!(resolved(&["93.184.216.34"; 65]), "dns_too_many");
}
