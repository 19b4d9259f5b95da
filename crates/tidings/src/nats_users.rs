//! `tidings nats-users`: the users of the broker, each with a key and the permissions it needs.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nkeys::KeyPair;
use serde_json::json;
use tidings_core::name::{Pool, Space};
use tidings_nats::access::{User, configuration};

use crate::output::{Output, note};

/// The name of each user's file in its folder.
const SEED: &str = "nats.nk";
const PARTITIONS_MAX: i64 = 1_024;

#[derive(Debug, clap::Args)]
pub(crate) struct NatsUsersArgs {
    /// Folder for the users' keys, a folder for each user in it: DIR/ingest/nats.nk and so on. What
    /// is missing is made, for its owner alone; what is there is used. Without it the configuration
    /// names variables (`$TIDINGS_NKEY_INGEST`) that nats-server takes from its environment.
    #[arg(long, env = "TIDINGS_NATS_KEYS", value_name = "DIR")]
    keys: Option<PathBuf>,
    /// File for the configuration, to be included in nats-server's; printed if left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// File for lines such as TIDINGS_NKEY_INGEST=U…, the public keys; the configuration names them
    /// as variables then.
    #[arg(long, value_name = "FILE", requires = "keys")]
    env: Option<PathBuf>,
    /// A pool of senders; repeat it for each.
    #[arg(
        long = "pool",
        env = "TIDINGS_POOLS",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "default"
    )]
    pools: Vec<Pool>,
    /// How many partitions each pool has, as provisioned.
    #[arg(long, env = "TIDINGS_PARTITIONS", value_name = "COUNT", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=PARTITIONS_MAX))]
    partitions: u16,
    /// A space whose CMS publishes over NATS; repeat it for each. It gets an account of its own,
    /// from which it reaches nothing but its own way in.
    #[arg(
        long = "space",
        env = "TIDINGS_NATS_SPACES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    spaces: Vec<Space>,
}

/// Runs the command, which needs no broker.
pub(crate) fn run(args: &NatsUsersArgs, output: Output) -> anyhow::Result<()> {
    let users = args.users();
    let mut named = Vec::with_capacity(users.len());
    let mut environment = String::new();
    for user in users {
        let variable = user.variable();
        let mut name = format!("${variable}");
        if let Some(folder) = &args.keys {
            let public = public_key(folder, &user).context("--keys")?;
            // Writing to a string cannot fail.
            let _ = writeln!(environment, "{variable}={public}");
            if args.env.is_none() {
                name = public;
            }
        }
        named.push((user, name));
    }
    if let Some(path) = &args.env {
        write(path, &environment).context("--env")?;
    }
    let text = configuration(&named, args.partitions);
    let document = json!({ "configuration": text });
    match &args.out {
        None => output.answer(&document, text.trim_end()),
        Some(path) => {
            write(path, &text).context("--out")?;
            note(format_args!("wrote {}", path.display()));
            Ok(())
        }
    }
}

impl NatsUsersArgs {
    fn users(&self) -> Vec<User> {
        let mut users = vec![User::Ingest, User::Router];
        users.extend(self.pools.iter().cloned().map(User::Sender));
        users.extend([User::Console, User::Provision, User::Operator]);
        users.extend(self.spaces.iter().cloned().map(User::Cms));
        users
    }
}

/// The public half of the user's key, which is made if it is not there.
fn public_key(folder: &Path, user: &User) -> anyhow::Result<String> {
    let folder = folder.join(user.name());
    let path = folder.join(SEED);
    let shown = path.display();
    let pair = match fs::read_to_string(&path) {
        Ok(seed) => {
            KeyPair::from_seed(seed.trim()).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::new_user();
            let seed = pair.seed()?;
            keep(&folder, &path, &seed).with_context(|| shown.to_string())?;
            pair
        }
        Err(error) => return Err(error).with_context(|| shown.to_string()),
    };
    Ok(pair.public_key())
}

fn keep(folder: &Path, path: &Path, seed: &str) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{seed}")?;
    file.sync_all()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
