//! The files for containers and Kubernetes say what they should. No container runs here: hadolint,
//! docker compose and kubectl check them offline, and Kubernetes's own schemas do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tidings_testkit::target_bin;

/// Versions of Kubernetes that the files must be valid for.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];
/// What `TIDINGS_DRAIN_TIMEOUT` is in these files.
const DRAIN_SECONDS: u64 = 25;
/// Networks that are never the outside.
const INSIDE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the repository")
        .to_path_buf()
}

fn tools() -> PathBuf {
    let folder = root().join(".tools/deploy");
    assert!(folder.is_dir(), "run tools/deploy-tools.sh first");
    folder
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(tools().join("bin").join(name));
    command.current_dir(root()).env("PYTHONPATH", tools());
    command
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the tool can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}{told}");
    output
}

/// All documents of a YAML text, as JSON.
fn documents(yaml: &[u8]) -> Vec<Value> {
    use std::io::Write as _;
    let script = "import json,sys,yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let mut python = Command::new("python3");
    python.args(["-c", script]).env("PYTHONPATH", tools());
    let mut child = python
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(yaml).expect("python3 reads");
    drop(stdin);
    let output = child.wait_with_output().expect("python3 ends");
    serde_json::from_slice(&output.stdout).expect("the text is YAML")
}

fn kustomize(folder: &Path) -> Vec<u8> {
    succeed(tool("kubectl").arg("kustomize").arg(folder)).stdout
}

fn overlay(name: &str) -> Vec<Value> {
    let folder = root().join("deploy/kubernetes/overlays").join(name);
    documents(&kustomize(&folder))
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|object| object["kind"] == kind).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("it has a name")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Everything that runs pods, each with its name and the pods' template.
fn pods(all: &[Value]) -> Vec<(&str, &Value)> {
    let kinds = ["Deployment", "StatefulSet", "Job"];
    let runs = all.iter().filter(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        kinds.contains(&kind)
    });
    runs.map(|object| (name(object), &object["spec"]["template"]["spec"]))
        .collect()
}

#[test]
fn the_dockerfile_is_clean() {
    succeed(tool("hadolint").args(["--failure-threshold", "style", "docker/Dockerfile"]));
    let text = std::fs::read_to_string(root().join("docker/Dockerfile")).unwrap();
    for wanted in [
        "--locked",
        "SOURCE_DATE_EPOCH",
        "USER 10001",
        "HEALTHCHECK",
        "--mount=type=cache",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
}

fn compose() -> Value {
    let config = ["--profile", "demo", "config", "--format", "json"];
    let output = succeed(tool("docker-compose").args(config).env("TIDINGS_IMAGE", ""));
    serde_json::from_slice(&output.stdout).expect("compose answers with JSON")
}

#[test]
fn the_compose_file_is_valid_and_hardened() {
    succeed(tool("docker-compose").args(["config", "-q"]));
    let compose = compose();
    let services = compose["services"].as_object().expect("there are services");
    for needed in [
        "nats",
        "provision",
        "ingest",
        "router",
        "sender",
        "console",
        "otel-collector",
        "nats-node",
        "jaeger",
        "prometheus",
        "grafana",
        "demo-receiver",
    ] {
        assert!(services.contains_key(needed), "{needed}");
    }
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert!(items(&service["security_opt"]).contains(&"no-new-privileges:true".into()));
        assert!(service["restart"].is_string(), "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string(), "{name} has a limit");
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let is_file = value.is_empty() || value.starts_with("/secrets/");
            let says_secret = ["TOKEN", "KEY", "PASSWORD", "SECRET"]
                .iter()
                .any(|word| variable.contains(word));
            assert!(is_file || !says_secret, "{name}: {variable} is in a file");
        }
    }
    for program in ["ingest", "router", "sender", "console"] {
        let service = &services[program];
        assert_eq!(service["user"], "10001:10001", "{program}");
        assert_eq!(service["restart"], "unless-stopped", "{program}");
        let grace = service["stop_grace_period"].as_str().unwrap_or_default();
        assert!(grace.starts_with("35"), "{program}: {grace}");
        let url = &service["environment"]["TIDINGS_HEALTHCHECK_URL"];
        assert!(
            url.as_str().is_some_and(|url| url.ends_with("/readyz")),
            "{program}"
        );
    }
}

#[test]
fn compose_keeps_data_and_scales_senders() {
    let compose = compose();
    let sender = &compose["services"]["sender"];
    assert!(sender["container_name"].is_null() && sender["ports"].is_null());
    let mounts = |service: &str, volume: &str| {
        items(&compose["services"][service]["volumes"])
            .iter()
            .any(|mount| mount["source"] == volume)
    };
    for (service, volume) in [("nats", "nats-data"), ("console", "console-data")] {
        assert!(mounts(service, volume), "{service}");
        assert!(!compose["volumes"][volume].is_null(), "{volume}");
    }
    // Who may send may not read what opens secrets, and so on: each sees its own.
    for other in ["ingest", "router", "console", "nats", "demo-receiver"] {
        assert!(!mounts(other, "secrets-sender"), "{other}");
    }
    for other in ["nats", "ingest", "router", "sender"] {
        assert!(!mounts(other, "secrets-operator"), "{other}");
    }
    let config = std::fs::read_to_string(root().join("deploy/nats/compose.conf")).unwrap();
    assert!(config.contains("sync_interval: always"));
}

#[test]
fn the_overlays_are_valid_for_kubernetes() {
    for overlay in ["single", "ha"] {
        let folder = root().join("deploy/kubernetes/overlays").join(overlay);
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), kustomize(&folder)).unwrap();
        for version in VERSIONS {
            let arguments = ["--strict", "-k", version];
            let output = succeed(tool("kubernetes-validate").args(arguments).arg(file.path()));
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8_lossy(&told);
            assert!(told.contains("deployment/tidings-sender"), "{told}");
            assert!(!told.contains("ERROR"), "{told}");
        }
    }
}

#[test]
fn every_container_is_hardened_bounded_and_probed() {
    for overlay_name in ["single", "ha"] {
        let all = overlay(overlay_name);
        for (pod, spec) in pods(&all) {
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{pod}");
            assert_eq!(
                security["seccompProfile"]["type"], "RuntimeDefault",
                "{pod}"
            );
            assert_eq!(spec["automountServiceAccountToken"], false, "{pod}");
            let is_job = pod.contains("provision");
            let containers = items(&spec["containers"])
                .iter()
                .chain(items(&spec["initContainers"]));
            for container in containers {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true, "{pod}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{pod}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{pod}");
                let resources = &container["resources"];
                for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                    assert!(resources.pointer(amount).is_some(), "{pod}: {amount}");
                }
                assert_probes(pod, container, is_job);
            }
        }
    }
}

fn assert_probes(pod: &str, container: &Value, is_job: bool) {
    let ports: Vec<&Value> = items(&container["ports"])
        .iter()
        .map(|port| &port["name"])
        .collect();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let port = &container[probe]["httpGet"]["port"];
        assert!(is_job || ports.contains(&port), "{pod}: {probe}");
    }
}

#[test]
fn pods_end_later_than_their_drain_and_one_at_a_time() {
    for overlay_name in ["single", "ha"] {
        let all = overlay(overlay_name);
        for (pod, spec) in pods(&all) {
            let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(0);
            assert!(grace > DRAIN_SECONDS, "{pod}: {grace} s");
            if pod.contains("provision") {
                continue;
            }
            let spreads = items(&spec["topologySpreadConstraints"]);
            assert!(!spreads.is_empty(), "{pod} is spread");
            let budgets = of_kind(&all, "PodDisruptionBudget");
            let budget = budgets.iter().find(|budget| name(budget) == pod);
            assert_eq!(budget.expect(pod)["spec"]["maxUnavailable"], 1, "{pod}");
        }
        let settings = of_kind(&all, "ConfigMap");
        let drain = settings
            .iter()
            .find_map(|map| map["data"]["TIDINGS_DRAIN_TIMEOUT"].as_str());
        assert_eq!(drain, Some("25s"));
    }
}

#[test]
fn senders_reach_the_outside_and_nothing_inside() {
    let all = overlay("ha");
    let policies = of_kind(&all, "NetworkPolicy");
    let policy = |wanted: &str| {
        let found = policies.iter().find(|policy| name(policy) == wanted);
        &found.expect("the policy is there")["spec"]
    };
    let deny = policy("tidings-default-deny");
    assert_eq!(
        deny["podSelector"]["matchLabels"]["app.kubernetes.io/part-of"],
        "tidings"
    );
    assert!(deny["egress"].is_null() && deny["ingress"].is_null());
    let outside = policy("tidings-outside");
    let who = &outside["podSelector"]["matchExpressions"][0]["values"];
    assert!(items(who).contains(&"tidings-sender".into()));
    assert!(!items(who).contains(&"tidings-router".into()));
    let blocks = items(&outside["egress"][0]["to"]);
    let except: Vec<&Value> = blocks
        .iter()
        .flat_map(|block| items(&block["ipBlock"]["except"]))
        .collect();
    for inside in INSIDE {
        assert!(except.contains(&&Value::from(inside)), "{inside}");
    }
    assert_eq!(blocks[0]["ipBlock"]["cidr"], "0.0.0.0/0");
    // No policy opens more: senders reach the broker, names and telemetry.
    for policy in &policies {
        let cidrs = items(&policy["spec"]["egress"])
            .iter()
            .flat_map(|rule| items(&rule["to"]))
            .filter(|to| !to["ipBlock"].is_null())
            .count();
        assert!(
            cidrs == 0 || name(policy) == "tidings-outside",
            "{}",
            name(policy)
        );
    }
}

#[test]
fn the_highly_available_overlay_survives_a_node() {
    let all = overlay("ha");
    let nats = &of_kind(&all, "StatefulSet")[0]["spec"];
    assert_eq!(nats["replicas"], 3);
    let spread = &nats["template"]["spec"]["topologySpreadConstraints"][0];
    assert_eq!(spread["whenUnsatisfiable"], "DoNotSchedule");
    for deployment in of_kind(&all, "Deployment") {
        let replicas = deployment["spec"]["replicas"].as_u64();
        // The autoscaler says how many senders there are.
        let is_scaled = name(deployment) == "tidings-sender" && replicas.is_none();
        assert!(is_scaled || replicas >= Some(2), "{}", name(deployment));
    }
    let maps = of_kind(&all, "ConfigMap");
    let value = |key: &str| maps.iter().find_map(|map| map["data"][key].as_str());
    assert_eq!(value("TIDINGS_STREAM_REPLICAS"), Some("3"));
    let urls = value("TIDINGS_NATS_URL").unwrap_or_default();
    assert_eq!(urls.split(',').count(), 3, "{urls}");
    let scaled = of_kind(&all, "ScaledObject")[0];
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], "tidings-sender");
    let bounds = ["minReplicaCount", "maxReplicaCount"].map(|bound| scaled["spec"][bound].as_u64());
    assert!(Some(2) <= bounds[0] && bounds[0] < bounds[1], "{bounds:?}");
    for scaler in of_kind(&all, "HorizontalPodAutoscaler") {
        let bounds = ["minReplicas", "maxReplicas"].map(|bound| scaler["spec"][bound].as_u64());
        assert!(Some(2) <= bounds[0] && bounds[0] < bounds[1], "{bounds:?}");
        assert_ne!(scaler["spec"]["scaleTargetRef"]["name"], "tidings-sender");
    }
}

#[test]
fn every_secret_that_pods_mount_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("deploy/kubernetes/secrets");
    for file in ["kustomization.yaml", "make.sh"] {
        std::fs::copy(source.join(file), folder.path().join(file)).unwrap();
    }
    let programs = target_bin("tidings");
    let programs = programs.parent().expect("it lies in a folder");
    let path = std::env::var("PATH").expect("there is a PATH");
    let mut make = Command::new(folder.path().join("make.sh"));
    make.env("PATH", format!("{}:{path}", programs.display()));
    succeed(&mut make);
    // Once more changes nothing: keys that are in use stay.
    let seed = || std::fs::read(folder.path().join("keys/operator/nats.nk")).unwrap();
    let before = seed();
    succeed(&mut make);
    assert_eq!(seed(), before);

    let made = documents(&kustomize(folder.path()));
    let names: Vec<&str> = made.iter().map(name).collect();
    for overlay_name in ["single", "ha"] {
        let all = overlay(overlay_name);
        let mut mounted = Vec::new();
        for (_, spec) in pods(&all) {
            let secrets = items(&spec["volumes"]).iter();
            mounted.extend(secrets.filter_map(|volume| volume["secret"]["secretName"].as_str()));
        }
        assert!(mounted.len() >= 8, "{mounted:?}");
        for secret in mounted {
            assert!(names.contains(&secret), "{secret} is not in {names:?}");
        }
    }
    let keys = made
        .iter()
        .find(|object| name(object) == "tidings-nats-keys")
        .unwrap();
    let users = std::fs::read_to_string(root().join("deploy/nats/users.conf")).unwrap();
    for variable in users
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nkey: $"))
    {
        assert!(keys["data"][variable].is_string(), "{variable}");
    }
}

#[test]
fn all_ways_to_run_have_the_same_users() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let shipped = read("deploy/nats/users.conf");
    assert_eq!(
        read("deploy/kubernetes/base/users.conf"),
        shipped,
        "copy it"
    );
}

#[test]
fn every_configuration_of_nats_is_valid() {
    let users = root().join("deploy/nats/users.conf");
    for path in [
        "deploy/nats/nats.conf",
        "deploy/kubernetes/base/nats.conf",
        "deploy/kubernetes/overlays/ha/nats.conf",
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(&users, folder.path().join("users.conf")).unwrap();
        let config = folder.path().join("nats.conf");
        std::fs::copy(root().join(path), &config).unwrap();
        let mut check = Command::new(tidings_testkit::nats_server_binary());
        check.args(["-t", "--name", "n1", "-c"]).arg(&config);
        let users = std::fs::read_to_string(&users).unwrap();
        let variables = users
            .lines()
            .filter_map(|line| line.trim().strip_prefix("nkey: $"));
        for (number, variable) in variables.enumerate() {
            check.env(variable, PUBLIC_KEYS[number]);
        }
        succeed(&mut check);
    }
}

/// Any six public nkeys of users.
const PUBLIC_KEYS: [&str; 6] = [
    "UCJKWOXHXXTHPXCCI4OPUJQ2VMAEAOQBLESVNJEWBTUWW64VVC6MMLNP",
    "UADNAQHGHXFSOV32JBALBUEEXIWOAJL72UBVQBM55CKBCWSAHWEQFI3I",
    "UA5MWYNICEHORXAO4AEJVCS6YS77LURQ6IBS6BCOWEX4WGZ53SBAOYRJ",
    "UB5UNUVFSGJ7QXYYCDRMNPLGGN43GHWVACAPS2EBQW6R72IOZXMKXVOM",
    "UDQEHV6EBLCF5OSE7NJOF5SSN6TGGYVMKYKVWSEITOMNFM5BKVH5EN5G",
    "UCFUE3KB5ANAZIY25HCBDSQBCFLEB544ACGPY5LSOQGXTQ6ZRG24ZEY7",
];
