//! The fake DNS of `ssrf-zone.tsv`, without a network: what a resolver would answer.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::corpus;

const CNAMES_MAX: usize = 8;

/// What a query ends with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Every address of the name, of both families.
    Addresses(Vec<IpAddr>),
    /// The resolver fails: no such name, no answer, a loop.
    Failure,
}

pub(crate) struct Zone {
    records: Vec<Record>,
}

struct Record {
    name: String,
    query: String,
    kind: String,
    answer: String,
    note: String,
}

impl Zone {
    pub(crate) fn load() -> Self {
        let rows = corpus::rows::<6>("ssrf-zone.tsv");
        let records = rows
            .into_iter()
            .map(|[name, query, kind, answer, _ttl, note]| Record {
                name,
                query,
                kind,
                answer,
                note,
            });
        Self {
            records: records.collect(),
        }
    }

    /// The answer to the query with this number about `name`; 1 is the one at creation.
    pub(crate) fn resolve(&self, name: &str, query: usize) -> Answer {
        let mut name = name.to_owned();
        for _ in 0..CNAMES_MAX {
            let records = self.records_of(&name, query);
            match records.iter().find(|record| record.kind == "CNAME") {
                Some(alias) => alias.answer.trim_end_matches('.').clone_into(&mut name),
                None => return addresses(&records),
            }
        }
        Answer::Failure
    }

    /// Whether the name's HTTP server answers the creation probe with a redirect.
    pub(crate) fn redirects_at_creation(&self, name: &str) -> bool {
        self.records
            .iter()
            .filter(|record| record.name == name)
            .any(|record| {
                record.note.split_once("create").is_some_and(|(_, rest)| {
                    rest.trim_start_matches("+send")
                        .trim_start_matches(": ")
                        .starts_with('3')
                })
            })
    }

    /// Whether anything but the DNS answer makes a delivery to this name fail.
    pub(crate) fn fails_after_the_dial(&self, name: &str) -> bool {
        self.records
            .iter()
            .filter(|record| record.name == name)
            .any(|record| record.note.starts_with("TLS:") || record.note.contains("send: 302"))
    }

    fn records_of(&self, name: &str, query: usize) -> Vec<&Record> {
        let known = self.records.iter().any(|record| record.name == name);
        let name = if known { name } else { "#default" };
        let of_name = self.records.iter().filter(|record| record.name == name);
        of_name
            .filter(|record| is_for_query(&record.query, query))
            .collect()
    }
}

fn is_for_query(selector: &str, query: usize) -> bool {
    match selector {
        "*" => true,
        "2+" => query >= 2,
        "odd" => query % 2 == 1,
        "even" => query.is_multiple_of(2),
        number => number.parse() == Ok(query),
    }
}

fn addresses(records: &[&Record]) -> Answer {
    let mut found = Vec::new();
    for record in records {
        match record.kind.as_str() {
            "A" | "AAAA" => found.push(record.answer.parse().expect("an address")),
            "A-RANGE" => found.extend(hosts(&record.answer)),
            "NODATA" => {}
            _ => return Answer::Failure,
        }
    }
    Answer::Addresses(found)
}

fn hosts(range: &str) -> impl Iterator<Item = IpAddr> {
    range.parse::<IpNet>().expect("a network").hosts()
}
