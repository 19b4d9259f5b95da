//! Options: each is documented, has its variable, and a wrong value stops the start with one line.

use std::process::{Command, Output};

use tidings_testkit::target_bin;

/// Every program that runs until it is stopped.
const PROGRAMS: [(&str, &[&str]); 6] = [
    ("tidings-ingest", &[]),
    ("tidings-router", &[]),
    ("tidings-sender", &[]),
    ("tidings", &["dev"]),
    ("tidings", &["listen"]),
    ("tidings", &["console"]),
];
/// A value that no option takes: no number, no address, no file and no folder that can be made.
const WRONG: &str = "/dev/null/%%%";
/// Any text is a good one.
const FREE_TEXTS: [&str; 2] = ["--token", "--nats-user"];

#[test]
fn a_wrong_value_stops_the_start_with_one_line_that_names_its_option() {
    for (program, command) in PROGRAMS {
        let help =
            String::from_utf8(run(program, &[command, &["--help"]].concat()).stdout).unwrap();
        let with_values = options(&help).filter(|option| option.takes_value);
        for option in with_values.filter(|option| !FREE_TEXTS.contains(&option.name)) {
            let wrong = format!("{}={WRONG}", option.name);
            let ended = run(program, &[command, &[wrong.as_str()]].concat());
            let said = String::from_utf8(ended.stderr).unwrap();
            // Whoever puts a secret on a command line is warned of that as well.
            let warned = |line: &&str| line.starts_with("warning: ");
            let errors: Vec<&str> = said.lines().filter(|line| !warned(line)).collect();
            let is_named = errors.len() == 1 && errors[0].contains(option.name);
            assert!(
                !ended.status.success() && is_named,
                "{program} {command:?} {} ended with {}: {said}",
                option.name,
                ended.status
            );
        }
    }
}

#[test]
fn a_wrong_value_of_a_variable_or_of_the_file_is_named_by_its_option() {
    let variable = program("tidings-ingest")
        .env("TIDINGS_MAX_EVENT_SIZE", "lots")
        .output()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidings.toml");
    std::fs::write(&file, "max-event-size = \"lots\"\n").unwrap();
    let file = run("tidings-ingest", &["--config", file.to_str().unwrap()]);
    for ended in [variable, file] {
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(
            said.contains("--max-event-size") && said.trim_end().lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn every_option_is_documented_and_has_a_variable() {
    for (program, command) in PROGRAMS {
        let help =
            String::from_utf8(run(program, &[command, &["--help"]].concat()).stdout).unwrap();
        for option in options(&help) {
            let about = option.about.trim();
            assert!(
                !about.is_empty() && !about.starts_with('['),
                "{program} {}",
                option.name
            );
            let is_clap_own = matches!(option.name, "--help" | "--version");
            assert!(
                is_clap_own || about.contains("[env: TIDINGS_"),
                "{program} {command:?} {} has no variable",
                option.name
            );
        }
    }
}

/// An option as the help shows it.
struct Shown<'a> {
    name: &'a str,
    takes_value: bool,
    about: &'a str,
}

fn options(help: &str) -> impl Iterator<Item = Shown<'_>> {
    let starts: Vec<usize> = help
        .match_indices("\n  ")
        .map(|(at, _)| at + 1)
        .filter(|at| {
            let line = help[*at..].lines().next().unwrap_or_default().trim_start();
            line.starts_with("--") || line.starts_with("-h, --") || line.starts_with("-V, --")
        })
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([help.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let (line, about) = help[start..end].split_once('\n').unwrap_or_default();
        let name = &line[line.find("--").unwrap_or_default()..];
        Shown {
            name: name.split([' ', '[', '=']).next().unwrap_or_default(),
            takes_value: name.contains('<'),
            about,
        }
    })
}

fn run(name: &str, arguments: &[&str]) -> Output {
    // `tidings dev` makes a folder where it is started.
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(name);
    program.current_dir(folder.path()).args(arguments);
    program.output().unwrap()
}

/// A program with none of our variables set.
fn program(name: &str) -> Command {
    let mut command = Command::new(target_bin(name));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("TIDINGS_")) {
        command.env_remove(name);
    }
    command
}
