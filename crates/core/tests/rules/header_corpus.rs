//! Every row of `header-corpus.tsv` ends as its verdict says.

use tidings_core::header::check_header;

use crate::corpus;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are the result of a corpus run"
)]
fn every_header_row_has_its_verdict() {
    let (mut accepted, mut rejected) = (0, 0);
    for [name, value, verdict, reason] in corpus::rows::<4>("header-corpus.tsv") {
        let (name, value) = (corpus::unescape(&name), corpus::unescape(&value));
        match (check_header(&name, &value), verdict.as_str()) {
            (Ok(()), "accept") => accepted += 1,
            (Err(_), "reject") => rejected += 1,
            (found, _) => panic!("{name:?}: {value:?}: {found:?}, but {verdict}: {reason}"),
        }
    }
    println!("headers: {accepted} accepted, {rejected} rejected");
    assert_eq!((accepted, rejected), (19, 69));
}
