//! What docs/receivers.md tells receivers to do works: each language's snippet is taken from the page
//! and run, where the language is installed.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};

const PAGE: &str = include_str!("../../docs/receivers.md");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "dlv_3T8JX2W4K0Q9C7M5R1B6N8Y2ZD";
const BODY: &str = r#"{"type":"Entry.publish","data":{"title":"Füße & <b>"}}"#;

mod shown {
    include!("snippets/verify.rs");
}

/// The snippet of a language.
fn snippet(language: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("```{language}\n"))
        .unwrap_or_else(|| panic!("the page has no {language}"));
    rest.split_once("```").expect("the snippet ends").0
}

#[expect(
    clippy::disallowed_methods,
    reason = "receivers look at the clock, too"
)]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn sign(timestamp: i64, body: &str) -> String {
    let key = STANDARD.decode(&SECRET["whsec_".len()..]).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{ID}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A request, and whether a receiver must believe it.
struct Case {
    what: &'static str,
    timestamp: String,
    signatures: String,
    body: String,
    is_ours: bool,
}

fn cases() -> Vec<Case> {
    let now = now();
    let case = |what, timestamp: i64, signatures: String, body: &str, is_ours| Case {
        what,
        timestamp: timestamp.to_string(),
        signatures,
        body: body.to_owned(),
        is_ours,
    };
    let other = format!("v1,{}", STANDARD.encode([7; 32]));
    let rotated = format!("{other} {}", sign(now, BODY));
    let old = now - 3_600;
    vec![
        case("signed", now, sign(now, BODY), BODY, true),
        case("signed with two secrets", now, rotated, BODY, true),
        case("signed by another", now, other, BODY, false),
        case("of another body", now, sign(now, BODY), "{}", false),
        case("an hour old", old, sign(old, BODY), BODY, false),
        case("of another time", now + 1, sign(now, BODY), BODY, false),
        case("without a signature", now, String::new(), BODY, false),
        Case {
            timestamp: "soon".to_owned(),
            ..case("without a time", now, sign(now, BODY), BODY, false)
        },
    ]
}

/// Runs `command` for each case, and expects that it prints `true` or `false`.
fn assert_verifies(command: impl Fn() -> Command) {
    for case in cases() {
        let Case {
            what,
            timestamp,
            signatures,
            body,
            is_ours,
        } = case;
        let output = command()
            .args([SECRET, ID, &timestamp, &signatures, &body])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout)
            .trim()
            .to_lowercase();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, is_ours.to_string(), "{what}: {error}");
    }
}

/// Whether the language is here; says so if not.
fn is_installed(program: &str, argument: &str) -> bool {
    let ran = Command::new(program).arg(argument).output();
    let is_there = ran.is_ok_and(|output| output.status.success());
    if !is_there {
        println!("{program} is not installed: its snippet is not run");
    }
    is_there
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn the_python_snippet_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let harness = "\nimport sys\nprint(verify(*sys.argv[1:5], sys.argv[5].encode()))\n";
    put(
        folder.path(),
        "it.py",
        &format!("{}{harness}", snippet("python")),
    );
    assert_verifies(|| {
        let mut command = Command::new("python3");
        command.arg(folder.path().join("it.py"));
        command
    });
}

#[test]
fn the_javascript_snippet_verifies() {
    if !is_installed("node", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let harness = "\nconst [, , ...a] = process.argv;\n\
                   console.log(verify(a[0], a[1], a[2], a[3], Buffer.from(a[4])));\n";
    put(
        folder.path(),
        "it.js",
        &format!("{}{harness}", snippet("javascript")),
    );
    assert_verifies(|| {
        let mut command = Command::new("node");
        command.arg(folder.path().join("it.js"));
        command
    });
}

#[test]
fn the_java_snippet_verifies() {
    if !is_installed("java", "-version") || !is_installed("javac", "-version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = "class Main { public static void main(String[] a) throws Exception {\n\
                System.out.println(Webhooks.verify(a[0], a[1], a[2], a[3], \
                a[4].getBytes(java.nio.charset.StandardCharsets.UTF_8))); } }\n";
    put(folder.path(), "Webhooks.java", snippet("java"));
    put(folder.path(), "Main.java", main);
    let compiled = Command::new("javac")
        .current_dir(folder.path())
        .args(["Webhooks.java", "Main.java"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    assert_verifies(|| {
        let mut command = Command::new("java");
        command
            .args(["-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-cp"])
            .arg(folder.path())
            .arg("Main")
            .env("LC_ALL", "C.UTF-8");
        command
    });
}

#[test]
fn the_go_snippet_verifies() {
    if !is_installed("go", "version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n\ta := os.Args[1:]\n\
                \tfmt.Println(Verify(a[0], a[1], a[2], a[3], []byte(a[4])))\n}\n";
    put(folder.path(), "verify.go", snippet("go"));
    put(folder.path(), "main.go", main);
    put(folder.path(), "go.mod", "module receiver\n\ngo 1.21\n");
    let built = Command::new("go")
        .current_dir(folder.path())
        .args(["build", "-o", "it", "."])
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    assert_verifies(|| Command::new(folder.path().join("it")));
}

#[test]
fn the_php_snippet_verifies() {
    if !is_installed("php", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let harness =
        "\necho verify($argv[1], $argv[2], $argv[3], $argv[4], $argv[5]) ? 'true' : 'false';\n";
    put(
        folder.path(),
        "it.php",
        &format!("{}{harness}", snippet("php")),
    );
    assert_verifies(|| {
        let mut command = Command::new("php");
        command.arg(folder.path().join("it.php"));
        command
    });
}

#[test]
fn the_rust_snippet_verifies() {
    assert_eq!(snippet("rust"), include_str!("snippets/verify.rs"));
    for case in cases() {
        let headers = [ID, &case.timestamp, &case.signatures];
        let is_ours = shown::verify(SECRET, headers, case.body.as_bytes(), now());
        assert_eq!(is_ours, case.is_ours, "{}", case.what);
    }
}
