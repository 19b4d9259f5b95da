//! Settings: flags over environment over file over defaults, all from one clap declaration.
//!
//! Every option `--some-name` has the environment variable that its declaration names and the key
//! `some-name` in the TOML file given by `--config`. A wrong value stops the start with one line
//! that names the option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser};
use toml::{Table, Value};

use crate::telemetry::TelemetryArgs;

// The file with settings. No doc comment: clap would make it the program's description.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// TOML file with settings; keys are the names of the options.
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

// What every long-running program can be told.
#[derive(Debug, Clone, Args)]
pub struct ProgramArgs {
    // The file with settings.
    #[command(flatten)]
    pub config: ConfigArgs,
    // How the program tells what it does.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    /// How long work in hand may take after SIGTERM; the rest is handed back.
    #[arg(long, env = "TIDINGS_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "25s",
          value_parser = tidings_core::duration::parse)]
    pub drain_timeout: Duration,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("--config {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("--config {path}: {}", .source.message())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// The file has a key that is no option.
    #[error("--config {path}: `{key}` is no option of this program; see --help")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A key's value is a table or a date.
    #[error("--config {path}: `{key}` must be a string, a number, a boolean or a list of these")]
    Form {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A flag, variable or value of the file cannot be used.
    #[error("{}", one_line(.0))]
    Clap(#[from] clap::Error),
}

/// Reads the settings of this process, or ends it with a message and code 2 (0 for `--help`).
#[expect(
    clippy::exit,
    reason = "nothing has started yet; clap's own way to end"
)]
#[expect(clippy::print_stderr, reason = "there is no log yet")]
#[must_use]
pub fn parse<P: Parser>() -> P {
    match read::<P>(std::env::args_os().collect()) {
        Ok((settings, exposed)) => {
            for option in exposed {
                eprintln!(
                    "warning: --{option} on the command line can be read by everybody on this \
                     machine; give it by its environment variable, or in a file (see --help)"
                );
            }
            settings
        }
        Err(SettingsError::Clap(error)) if is_help(&error) => error.exit(),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    }
}

/// Whether what clap has to say is an answer, rather than a complaint about a value.
fn is_help(error: &clap::Error) -> bool {
    use clap::error::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// clap's words in one line, without its usage and its last remark.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .take_while(|line| !line.starts_with("Usage:"));
    let line = lines.collect::<Vec<_>>().join(" ");
    // The standard library's word for it says nothing of what is right.
    let line = line.replace(
        "invalid socket address syntax",
        "it is no address with a port; write it like 127.0.0.1:8080",
    );
    without_password(line.strip_prefix("error: ").unwrap_or(&line), error)
}

/// A value with an `@` may be an address with a password, which must not be repeated.
fn without_password(line: &str, error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if value.contains('@') => {
            line.replace(value.as_str(), "…@…")
        }
        _ => line.to_owned(),
    }
}

/// Reads settings from `arguments` (the program's name first), the environment and the file.
///
/// # Errors
/// Something cannot be read or used; the message names the option.
pub fn parse_from<P: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
) -> Result<P, SettingsError> {
    read(arguments).map(|(settings, _)| settings)
}

/// The settings, and the options by which a secret stands on the command line.
fn read<P: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
) -> Result<(P, Vec<String>), SettingsError> {
    let mut command = P::command();
    if let Some(path) = config_path(&arguments) {
        command = with_file(command, &path)?;
    }
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    let exposed = exposed(&command, &matches);
    match P::from_arg_matches_mut(&mut matches) {
        Ok(settings) => Ok((settings, exposed)),
        Err(error) => Err(SettingsError::Clap(error.format(&mut command))),
    }
}

/// The options on the command line that hold a secret: those whose variable --help does not show.
fn exposed(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let given = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        // A common option is declared again where it is hidden.
        let source = matches
            .try_get_raw(id)
            .is_ok()
            .then(|| matches.value_source(id));
        source.flatten() == Some(ValueSource::CommandLine)
    };
    let is_secret = |arg: &&Arg| {
        let mut values = matches
            .try_get_raw(arg.get_id().as_str())
            .ok()
            .flatten()
            .into_iter()
            .flatten();
        let is_url = arg
            .get_value_names()
            .is_some_and(|names| names.iter().any(|name| name == "URL"));
        // The address of a server or a proxy is none unless there is a password in it.
        arg.is_hide_env_values_set()
            && (!is_url || values.any(|value| value.to_string_lossy().contains('@')))
    };
    let secret = command.get_arguments().filter(given).filter(is_secret);
    let mut names: Vec<String> = secret
        .filter_map(Arg::get_long)
        .map(str::to_owned)
        .collect();
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        names.extend(exposed(command, matches));
        // A common option is seen at each level.
        names.sort_unstable();
        names.dedup();
    }
    names
}

/// Finds `--config` before clap runs, because the file changes what clap knows.
fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--config") => return rest.next().map(PathBuf::from),
            Some("--") => break,
            Some(text) => {
                if let Some(path) = text.strip_prefix("--config=") {
                    return Some(PathBuf::from(path));
                }
            }
            None => {}
        }
    }
    std::env::var_os("TIDINGS_CONFIG").map(PathBuf::from)
}

fn with_file(command: Command, path: &Path) -> Result<Command, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let table: Table = text.parse().map_err(|source| SettingsError::Toml {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    with_table(command, &table, path)
}

/// Makes the file's values the defaults of the options they name. A table named like a subcommand
/// holds the options of that subcommand.
fn with_table(mut command: Command, table: &Table, path: &Path) -> Result<Command, SettingsError> {
    // What is set for one subcommand wins over what is set for all.
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_table());
    for (key, value) in values.into_iter().chain(tables) {
        if let (Value::Table(inner), true) = (value, command.find_subcommand(key).is_some()) {
            let inner = inner.clone();
            let mut failed = None;
            command = command.mut_subcommand(key, |sub| {
                with_table(sub.clone(), &inner, path).unwrap_or_else(|error| {
                    failed = Some(error);
                    sub
                })
            });
            if let Some(error) = failed {
                return Err(error);
            }
            continue;
        }
        command = with_value(command, key, value, path)?;
    }
    Ok(command)
}

fn with_value(
    command: Command,
    key: &str,
    value: &Value,
    path: &Path,
) -> Result<Command, SettingsError> {
    let long = key.replace('_', "-");
    let found = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long.as_str()));
    let Some(arg) = found.filter(|arg| !matches!(arg.get_action(), ArgAction::Help)) else {
        return Err(SettingsError::Unknown {
            path: path.to_path_buf(),
            key: key.to_owned(),
        });
    };
    let form = || SettingsError::Form {
        path: path.to_path_buf(),
        key: key.to_owned(),
    };
    let texts = texts(value).ok_or_else(form)?;
    let (id, is_global) = (arg.get_id().clone(), arg.is_global_set());
    // Hidden, because --help prints defaults, and the file may hold a secret.
    let set = |arg: Arg| {
        let takes_values = arg.get_action().takes_values();
        let arg = arg.required(false).default_values(texts.clone());
        if takes_values {
            arg.hide_default_value(true)
        } else {
            arg
        }
    };
    let command = command.mut_arg(&id, set);
    if !is_global {
        return Ok(command);
    }
    // A subcommand may declare a common option anew, with another default.
    Ok(command.mut_subcommands(|sub| {
        let has_own = sub.get_arguments().any(|arg| *arg.get_id() == id);
        if has_own { sub.mut_arg(&id, set) } else { sub }
    }))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Float(number) => Some(vec![number.to_string()]),
        Value::Boolean(yes) => Some(vec![yes.to_string()]),
        Value::Array(items) => items
            .iter()
            .map(texts)
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat()),
        Value::Table(_) | Value::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "program")]
    struct Settings {
        #[command(flatten)]
        config: ConfigArgs,
        /// How many.
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Where.
        #[arg(long, value_delimiter = ',')]
        place: Vec<String>,
        #[command(subcommand)]
        action: Option<Action>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Action {
        Dev {
            #[arg(long, default_value = "no")]
            token: String,
        },
    }

    fn with(toml: &str, arguments: &[&str]) -> Result<Settings, SettingsError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        let mut all: Vec<OsString> = vec!["program".into(), "--config".into()];
        all.push(file.path().into());
        all.extend(arguments.iter().map(OsString::from));
        parse_from(all)
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        assert_eq!(with("count = 5", &[]).unwrap().count, 5);
        assert_eq!(with("count = 5", &["--count", "7"]).unwrap().count, 7);
        assert_eq!(with("", &[]).unwrap().count, 1);
        assert_eq!(
            with(r#"place = ["a", "b"]"#, &[]).unwrap().place,
            ["a", "b"]
        );
    }

    #[test]
    fn a_table_sets_the_options_of_a_subcommand() {
        let Some(Action::Dev { token }) = with("[dev]\ntoken = \"s\"", &["dev"]).unwrap().action
        else {
            panic!("the subcommand is there");
        };
        assert_eq!(token, "s");
    }

    #[test]
    fn a_common_option_in_the_file_reaches_a_subcommand_with_a_default_of_its_own() {
        #[derive(Debug, Parser)]
        struct Common {
            #[arg(long, global = true, default_value = "warn")]
            log: String,
        }
        let read = |toml: &str| {
            let own = Arg::new("log").long("log").default_value("info");
            let command = Common::command().subcommand(Command::new("dev").arg(own));
            let table = toml.parse().unwrap();
            let command = with_table(command, &table, Path::new("file")).unwrap();
            let matches = command.try_get_matches_from(["program", "dev"]).unwrap();
            matches.get_one::<String>("log").cloned()
        };
        assert_eq!(read("").as_deref(), Some("info"));
        assert_eq!(read("log = 'debug'").as_deref(), Some("debug"));
        let both = "log = 'debug'\n[dev]\nlog = 'trace'";
        assert_eq!(read(both).as_deref(), Some("trace"));
    }

    #[test]
    fn a_password_in_a_wrong_value_is_not_repeated() {
        let error = with("", &["--count", "nats://u:secret@host"]).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("--count") && !message.contains("secret"),
            "{message}"
        );
    }

    #[test]
    fn a_secret_on_the_command_line_is_noticed() {
        #[derive(Debug, Parser)]
        struct Settings {
            #[arg(
                long,
                global = true,
                hide_env_values = true,
                value_name = "URL",
                default_value = "a"
            )]
            nats_url: String,
            #[command(subcommand)]
            action: Option<Action>,
        }
        #[derive(Debug, clap::Subcommand)]
        enum Action {
            Dev {
                #[arg(long, hide_env_values = true, default_value = "t")]
                token: String,
            },
        }
        for (arguments, exposed) in [
            ("", vec![]),
            ("--nats-url nats://a:1 dev", vec![]),
            ("--nats-url nats://u:p@a:1", vec!["nats-url"]),
            ("dev --nats-url nats://u:p@a:1", vec!["nats-url"]),
            ("dev --token t", vec!["token"]),
        ] {
            let all = ["program"].into_iter().chain(arguments.split_whitespace());
            let (_, found) = read::<Settings>(all.map(OsString::from).collect()).unwrap();
            assert_eq!(found, exposed, "{arguments}");
        }
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (toml, arguments, named) in [
            ("coutn = 5", vec![], "coutn"),
            ("count = \"many\"", vec![], "--count"),
            ("count = {}", vec![], "count"),
            ("count 5", vec![], "--config"),
            ("", vec!["--count", "x"], "--count"),
            ("", vec!["--coutn", "1"], "--coutn"),
            ("", vec!["--count"], "--count"),
        ] {
            let message = with(toml, &arguments).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
            assert!(!message.starts_with("error"), "{message}");
        }
    }
}
