//! I18 and I22: a URL that is accepted has one reading, and reading it again changes nothing.

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use tidings_core::address::AddressPolicy;
use tidings_core::endpoint_url::{EndpointUrl, Host, Scheme, UrlPolicy};

use crate::corpus;

fn dev() -> UrlPolicy {
    let allow = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|net| net.parse().unwrap());
    UrlPolicy {
        address: AddressPolicy {
            allow: allow.to_vec(),
            deny: Vec::new(),
        },
        https_only: false,
        allow_local_names: true,
    }
}

fn scheme() -> impl Strategy<Value = String> {
    select(vec![
        "http://",
        "https://",
        "HTTPS://",
        "http:/",
        "https:///",
        "ftp://",
        "//",
        "",
    ])
    .prop_map(str::to_owned)
}

fn host() -> impl Strategy<Value = String> {
    let label = "[a-zA-Z0-9_éÜßЖ例。-]{1,8}";
    let name = proptest::collection::vec(label, 1..5).prop_map(|labels| labels.join("."));
    prop_oneof![
        4 => name,
        2 => any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        1 => any::<u32>().prop_map(|ip| ip.to_string()),
        1 => any::<[u8; 4]>().prop_map(|[a, b, c, d]| format!("0x{a:x}.0{b:o}.{c}.{d}")),
        2 => any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        2 => "[23][0-9a-f]{3}(:[0-9a-f]{1,4}){7}".prop_map(|ip| format!("[{ip}]")),
        1 => any::<std::net::Ipv4Addr>().prop_map(|ip| format!("[::ffff:{ip}]")),
        2 => "[ -~]{1,12}",
        1 => "\\PC{1,8}",
        1 => "\\PC{1,8}\\.com",
        1 => select(vec!["localhost", "example.com", "example.com.", "xn--bcher-kva.ch", "a.b"])
            .prop_map(str::to_owned),
    ]
}

fn url() -> impl Strategy<Value = String> {
    let userinfo = prop_oneof![9 => Just(String::new()), 1 => "[a-z:]{0,4}@"];
    let port = prop_oneof![
        4 => Just(String::new()),
        4 => any::<u16>().prop_map(|port| format!(":{port}")),
        1 => ":[0-9a-f+-]{0,6}",
    ];
    let path = prop_oneof![2 => "/[!-~]{0,20}", 1 => "[/?]\\PC{0,20}", 1 => Just(String::new())];
    let query = prop_oneof![3 => Just(String::new()), 1 => "\\?[!-~é]{0,20}"];
    (scheme(), userinfo, host(), port, path, query).prop_map(
        |(scheme, userinfo, host, port, path, query)| {
            format!("{scheme}{userinfo}{host}{port}{path}{query}")
        },
    )
}

/// A row of the corpus with one character replaced, removed or put in.
fn neighbour() -> impl Strategy<Value = String> {
    let rows = corpus::rows::<3>("ssrf-corpus.tsv");
    let urls: Vec<String> = rows.iter().map(|[url, ..]| corpus::unescape(url)).collect();
    let characters =
        prop_oneof![4 => "[ -~]{0,2}", 1 => "\\PC", 1 => any::<char>().prop_map(String::from)];
    (
        select(urls),
        any::<proptest::sample::Index>(),
        any::<bool>(),
        characters,
    )
        .prop_map(|(url, place, replace, insert)| {
            let mut characters: Vec<char> = url.chars().collect();
            let place = place.index(characters.len() + 1);
            if replace && place < characters.len() {
                characters.remove(place);
            }
            characters.splice(place..place, insert.chars());
            characters.into_iter().collect()
        })
}

fn holds_together(text: &str, policy: &UrlPolicy) -> Result<(), TestCaseError> {
    let Ok(endpoint) = EndpointUrl::parse(text, policy) else {
        return Ok(());
    };
    prop_assert_eq!(endpoint.as_str(), text);
    prop_assert_eq!(policy.recheck(&endpoint), Ok(()));
    prop_assert!(endpoint.canonical().is_ascii());

    // I18
    let again = EndpointUrl::parse(endpoint.canonical(), policy);
    let again = again.map_err(|error| TestCaseError::fail(format!("{text:?}: {error}")))?;
    prop_assert_eq!(again.canonical(), endpoint.canonical());
    prop_assert_eq!(again.host(), endpoint.host());
    prop_assert_eq!(again.port(), endpoint.port());
    prop_assert_eq!(again.uri(), endpoint.uri());

    // I22
    let uri = endpoint.uri();
    let host = match endpoint.host() {
        Host::Name(name) => name.to_owned(),
        Host::V4(ip) => ip.to_string(),
        Host::V6(ip) => format!("[{ip}]"),
    };
    prop_assert_eq!(uri.host(), Some(host.as_str()));
    let by_scheme = if endpoint.scheme() == Scheme::Https {
        443
    } else {
        80
    };
    prop_assert_eq!(uri.port_u16().unwrap_or(by_scheme), endpoint.port());
    prop_assert_eq!(uri.to_string(), endpoint.canonical());

    // What is called is what was written, as far as a reader can tell.
    let authority = text.split(['/', '?']).nth(2).unwrap().to_lowercase();
    match endpoint.host() {
        Host::Name(name) if authority.is_ascii() => prop_assert!(authority.starts_with(name)),
        Host::V4(_) => prop_assert!(authority.starts_with(&host)),
        Host::Name(_) | Host::V6(_) => {}
    }
    match endpoint.host() {
        Host::V4(ip) => prop_assert!(policy.address.check(ip.into()).is_ok()),
        Host::V6(ip) => prop_assert!(policy.address.check(ip.into()).is_ok()),
        Host::Name(name) => prop_assert!(!name.ends_with('.')),
    }
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(4096))]

    #[test]
    fn an_accepted_url_has_one_reading(text in url()) {
        holds_together(&text, &UrlPolicy::default())?;
        holds_together(&text, &dev())?;
    }

    #[test]
    fn a_neighbour_of_a_corpus_row_has_one_reading(text in neighbour()) {
        holds_together(&text, &UrlPolicy::default())?;
        holds_together(&text, &dev())?;
    }

    #[test]
    fn a_wider_policy_accepts_what_a_narrower_one_does(text in prop_oneof![url(), neighbour()]) {
        if EndpointUrl::parse(&text, &UrlPolicy::default()).is_ok() {
            prop_assert!(EndpointUrl::parse(&text, &dev()).is_ok());
        }
    }

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        holds_together(&text, &dev())?;
    }
}
