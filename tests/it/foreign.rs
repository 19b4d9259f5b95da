//! Code that nobody here wrote: the libraries by which receivers verify and read webhooks.
//!
//! `tools/python-test.sh` and `tools/node-test.sh` install them. One process answers all questions
//! of a test.

use std::process::Stdio;

use serde_json::{Value, json};
use tidings_testkit::Request;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::platform::SOON;

/// Whose libraries are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Node,
}

/// What to do with a captured request.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) language: Language,
    content: Value,
}

/// Asks `check`, one of the functions in `tests/node/verify.cjs` or `tests/python/verify.py`, about
/// a request as it arrived. `secret` is empty where nothing is verified.
pub(crate) fn question(
    language: Language,
    check: &str,
    secret: &str,
    request: &Request,
) -> Question {
    let headers = request.headers.iter().map(|(name, value)| {
        let text = value.as_bytes().iter().map(|byte| char::from(*byte));
        (name.as_str().to_owned(), json!(text.collect::<String>()))
    });
    let content = json!({
        "check": check,
        "secret": secret,
        "method": request.method.as_str(),
        "path": request.uri.path_and_query().map(|path| path.as_str()),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "body": str::from_utf8(&request.body).expect("a body is UTF-8"),
    });
    Question { language, content }
}

/// Asks all questions; the answers are in their order.
pub(crate) async fn ask(questions: &[Question]) -> Vec<Value> {
    let of = |language| {
        let mine = questions.iter().filter(move |one| one.language == language);
        mine.map(|one| one.content.clone()).collect::<Vec<_>>()
    };
    let [python, node] = [Language::Python, Language::Node].map(of);
    let (python, node) = tokio::join!(run(Language::Python, python), run(Language::Node, node));
    let (mut python, mut node) = (python.into_iter(), node.into_iter());
    let answer = |one: &Question| match one.language {
        Language::Python => python.next().expect("an answer for each question"),
        Language::Node => node.next().expect("an answer for each question"),
    };
    questions.iter().map(answer).collect()
}

/// The verdicts alone.
pub(crate) async fn verdicts(questions: &[Question]) -> Vec<String> {
    let answers = ask(questions).await;
    let verdict = |answer: &Value| answer["verdict"].as_str().expect("a text").to_owned();
    answers.iter().map(verdict).collect()
}

async fn run(language: Language, questions: Vec<Value>) -> Vec<Value> {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    if questions.is_empty() {
        return Vec::new();
    }
    let (program, script, tool) = match language {
        Language::Python => ("python3", "tests/python/verify.py", "tools/python-test.sh"),
        Language::Node => ("node", "tests/node/verify.cjs", "tools/node-test.sh"),
    };
    let mut child = tokio::process::Command::new(program)
        .arg(format!("{ROOT}/{script}"))
        .env("PYTHONPATH", format!("{ROOT}/.tools/python"))
        .env("TIDINGS_NODE_LIBRARIES", format!("{ROOT}/.tools/node"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program} ({error}); run {tool}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = Value::from(questions).to_string();
    stdin
        .write_all(text.as_bytes())
        .await
        .expect("it reads its input");
    drop(stdin);
    let output = timeout(SOON * 3, child.wait_with_output()).await;
    let output = output.expect("it ends").expect("it can be waited for");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "is {tool} done? {program} said: {told}"
    );
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}
