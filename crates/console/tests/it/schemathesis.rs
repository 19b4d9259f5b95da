//! `schemathesis` holds the API against its own description (`tools/python-test.sh` fetches it).

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::platform::Platform;

/// All but `positive_data_acceptance`: that a URL may be called, or that a topic pattern goes with
/// a filter, is no matter of a schema.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method,ignored_auth";

/// A wrong version is told before a wrong body is looked at (RFC 9110, section 13.2.1).
const SETTINGS: &str = r#"
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "429"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_has_no_finding() {
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/schemathesis");
    let is_there = Path::new(library).join("schemathesis").exists();
    assert!(
        is_there,
        "schemathesis is not there; run tools/python-test.sh"
    );
    let platform = Platform::start_with(&["--api-rate", "100000", "--api-burst", "100000"]).await;
    let fields = json!({"topics": ["None.none"]});
    platform
        .webhook("acme", "https://a.example.com/", fields)
        .await;
    let url = format!("http://{}/api/v1/openapi.json", platform.address);
    let arguments = [
        "-m",
        "schemathesis.cli",
        "run",
        &url,
        "--header",
        "Authorization: Bearer tdg_admin-of-these-tests-only",
        "--checks",
        CHECKS,
        "--max-examples",
        "8",
        "--seed",
        "1",
        "--generation-deterministic",
        "--workers",
        "1",
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "20",
        "--no-color",
        "--suppress-health-check",
        "all",
    ];
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let run = Command::new("python3")
        .args(arguments)
        .env("PYTHONPATH", library)
        .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = run.await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}\n{errors}");
}
