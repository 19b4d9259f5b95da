//! `tidings webhook`: creates, shows and changes webhooks, straight in their bucket.

mod draft;
mod explain;
mod options;
mod reach;
mod secret;
mod show;
mod store;

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;
use tidings_core::endpoint_url::{EndpointUrl, UrlPolicy};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::signature::secret_from_bytes;
use tidings_core::webhook::{
    Definition, EndpointState, FieldError, SCHEMA_VERSION, SigningSecret, Status, Webhook, check,
    view,
};
use tidings_nats::pools::read_pools;
use tidings_service::clock;

use crate::client::{Client, new_ulid};
use crate::output::{Output, note};
use draft::Draft;
use options::{ChangeArgs, DefinitionArgs, ReachArgs};
pub(crate) use store::{Kept, Webhooks};

const POOL_POINTER: &str = "/delivery/pool";

#[derive(Debug, clap::Args)]
pub(crate) struct WebhookArgs {
    /// Store secrets readable for who can read the broker's bucket, if there is no key to encrypt
    /// them with.
    #[arg(long, env = "TIDINGS_PLAIN_SECRETS", global = true)]
    plain_secrets: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a webhook and show its signing secret, once.
    Create(CreateArgs),
    /// List webhooks.
    List {
        /// Only those of this space; those of all spaces if left out.
        #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
        space: Option<Space>,
    },
    /// Show everything about a webhook but its secrets.
    Get(Target),
    /// Change the fields that are given; everything else stays, secrets too.
    Update(UpdateArgs),
    /// Delete a webhook; deliveries under way end as dead letters.
    Delete(Target),
    /// Let deliveries be sent, also after the endpoint answered 410 Gone.
    Enable(Target),
    /// Let nothing be sent; deliveries under way end as dead letters, which can be redelivered.
    Disable(Target),
    /// Let deliveries wait; none of them uses up an attempt.
    Pause(PauseArgs),
    /// Let deliveries be sent that wait in a pause, slowly at first.
    Resume(Target),
    /// Tell why a webhook gets an event, or why not: every condition, what it sees and what it comes
    /// to.
    Explain(explain::ExplainArgs),
    /// Exchange signing secrets.
    #[command(subcommand)]
    Secret(secret::SecretAction),
}

/// Which webhook is meant.
#[derive(Debug, clap::Args)]
struct Target {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    id: WebhookId,
    /// The space it belongs to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
}

#[derive(Debug, clap::Args)]
struct PauseArgs {
    #[command(flatten)]
    target: Target,
    /// For how long; until it is resumed if left out.
    #[arg(long = "for", value_name = "DURATION", value_parser = tidings_core::duration::parse)]
    duration: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The space it belongs to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
    #[command(flatten)]
    definition: DefinitionArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Debug, clap::Args)]
struct UpdateArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    definition: DefinitionArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

/// A definition that cannot be used, with every field that is wrong.
#[derive(Debug, thiserror::Error)]
struct Invalid(Vec<FieldError>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the webhook cannot be used; nothing was stored")?;
        for error in &self.0 {
            write!(f, "\n  {}: {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}

impl Invalid {
    /// A single field that is wrong.
    fn field(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self(vec![FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        }])
    }
}

/// Runs the command.
pub(crate) async fn run(args: WebhookArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let webhooks = Webhooks::open_to_write(client, args.plain_secrets).await?;
    match args.action {
        Action::Create(args) => create(args, client, &webhooks, output).await,
        Action::List { space } => list(space.as_ref(), &webhooks, output).await,
        Action::Get(target) => {
            let kept = webhooks.get(&target.space, &target.id).await?;
            warn_if_unserved(&kept.webhook, client).await?;
            answer(&kept.webhook, &webhooks, output).await
        }
        Action::Update(args) => update(args, client, &webhooks, output).await,
        Action::Delete(target) => delete(&target, &webhooks, output).await,
        Action::Enable(target) => enable(&target, true, &webhooks, output).await,
        Action::Disable(target) => enable(&target, false, &webhooks, output).await,
        Action::Pause(args) => pause(&args, &webhooks, output).await,
        Action::Resume(target) => resume(&target, &webhooks, output).await,
        Action::Explain(args) => explain::run(&args, client, &webhooks, output).await,
        Action::Secret(action) => secret::run(action, client, &webhooks, output).await,
    }
}

async fn create(
    args: CreateArgs,
    client: &Client,
    webhooks: &Webhooks,
    output: Output,
) -> anyhow::Result<()> {
    let mut draft = Draft::default();
    if let Some(file) = args.definition.read_file(&args.space).await? {
        draft.merge(file);
    }
    args.definition.apply(&mut draft)?;
    let mut definition = draft.finish()?;
    let policy = args.reach.policy();
    let now = clock::now();
    let made = complete_signing(&mut definition, now);
    refuse(faults(&definition, &policy, client).await?)?;
    check_reach(&definition, &policy, &args.reach).await?;
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id: WebhookId::generate(new_ulid(now)),
        space: args.space,
        definition,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    webhooks.create(&webhook).await?;
    let mut document = view(&webhook, None);
    let mut text = show::fields(&document);
    if let Some(secret) = made {
        document["signing"]["secrets"][0]["key"] = Value::from(secret.key.expose());
        text.add("signing secret", secret.key.expose());
        note("The signing secret is shown only now; the receiver verifies signatures with it.");
    }
    output.answer(&document, text)
}

async fn list(space: Option<&Space>, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let webhooks = webhooks.list(space).await?;
    let views: Vec<Value> = webhooks
        .iter()
        .map(|(webhook, state)| view(webhook, state.as_ref()))
        .collect();
    output.answer(&views, show::table(&views))
}

async fn update(
    args: UpdateArgs,
    client: &Client,
    webhooks: &Webhooks,
    output: Output,
) -> anyhow::Result<()> {
    let Target { id, space } = &args.target;
    let kept = webhooks.get(space, id).await?;
    let old = &kept.webhook;
    let mut draft = Draft::of(&old.definition);
    if let Some(file) = args.definition.read_file(space).await? {
        draft.merge(file.of_version(id, old.version)?);
    }
    args.definition.apply(&mut draft)?;
    args.change.apply(&mut draft);
    let mut definition = draft.finish()?;
    let policy = args.reach.policy();
    let now = clock::now();
    complete_signing(&mut definition, now);
    let mut faults = faults(&definition, &policy, client).await?;
    let is_moved = definition.url != old.definition.url;
    let is_other_pool = definition.delivery.pool != old.definition.delivery.pool;
    // A URL that stays was taken under the policy of its time, and a pool when it was served.
    faults.retain(|fault| is_moved || fault.pointer != "/url");
    faults.retain(|fault| is_other_pool || fault.pointer != POOL_POINTER);
    refuse(faults)?;
    if is_moved {
        check_reach(&definition, &policy, &args.reach).await?;
    }
    if definition == old.definition {
        return answer(old, webhooks, output).await;
    }
    let webhook = next_version(old.clone(), definition, now);
    webhooks.replace(&webhook, &kept).await?;
    answer(&webhook, webhooks, output).await
}

async fn enable(
    target: &Target,
    enabled: bool,
    webhooks: &Webhooks,
    output: Output,
) -> anyhow::Result<()> {
    let kept = webhooks.get(&target.space, &target.id).await?;
    let definition = Definition {
        enabled,
        ..kept.webhook.definition.clone()
    };
    // A new version also voids what a sender found out about the endpoint.
    let webhook = next_version(kept.webhook.clone(), definition, clock::now());
    webhooks.replace(&webhook, &kept).await?;
    answer(&webhook, webhooks, output).await
}

async fn pause(args: &PauseArgs, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let Kept { webhook, .. } = webhooks.get(&args.target.space, &args.target.id).await?;
    let recorded = webhooks.state(&webhook).await?;
    if EndpointState::effective(&webhook, recorded.as_ref()).status == Status::Disabled {
        anyhow::bail!("{} is disabled; nothing is sent to it anyway", webhook.id);
    }
    let until = args
        .duration
        .map(|duration| clock::now().checked_add(duration));
    let until = until.transpose().context("--for")?;
    let state = EndpointState::paused_by_hand(until, webhook.version);
    webhooks.put_state(&webhook, &state).await?;
    answer(&webhook, webhooks, output).await
}

async fn resume(target: &Target, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let Kept { webhook, .. } = webhooks.get(&target.space, &target.id).await?;
    let recorded = webhooks.state(&webhook).await?;
    if EndpointState::effective(&webhook, recorded.as_ref()).status == Status::Paused {
        let state = EndpointState::resumed_by_hand(webhook.version);
        webhooks.put_state(&webhook, &state).await?;
    }
    answer(&webhook, webhooks, output).await
}

async fn delete(target: &Target, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let Kept { webhook, revision } = webhooks.get(&target.space, &target.id).await?;
    webhooks.delete(&webhook, revision).await?;
    let document = serde_json::json!({ "id": webhook.id, "deleted": true });
    output.answer(&document, format_args!("deleted {}", webhook.id))
}

/// Says so if deliveries wait because nobody sends for the webhook's pool.
async fn warn_if_unserved(webhook: &Webhook, client: &Client) -> anyhow::Result<()> {
    let pool = &webhook.definition.delivery.pool;
    if !read_pools(&client.jetstream).await?.is_served(pool) {
        note(format_args!(
            "warning: no sender of the pool `{pool}` is alive; deliveries wait for one"
        ));
    }
    Ok(())
}

async fn answer(webhook: &Webhook, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let state = webhooks.state(webhook).await?;
    let document = view(webhook, state.as_ref());
    output.answer(&document, show::fields(&document))
}

fn next_version(old: Webhook, definition: Definition, now: Timestamp) -> Webhook {
    let version = old.version.saturating_add(1);
    Webhook {
        definition,
        updated_at: now,
        version,
        schema: SCHEMA_VERSION,
        ..old
    }
}

/// Names the secrets that were given, and makes one if there is none. Returns the one it made.
fn complete_signing(definition: &mut Definition, now: Timestamp) -> Option<SigningSecret> {
    let secrets = &mut definition.signing.secrets;
    for secret in secrets.iter_mut().filter(|secret| secret.id.is_empty()) {
        secret.id = format!("sec_{}", new_ulid(now));
    }
    if !secrets.is_empty() {
        return None;
    }
    let key = secret_from_bytes(&rand::random());
    let made = SigningSecret {
        id: format!("sec_{}", new_ulid(now)),
        key,
        expires_at: None,
    };
    secrets.push(made.clone());
    Some(made)
}

/// Everything that is wrong with a definition and can be told without calling the endpoint.
async fn faults(
    definition: &Definition,
    policy: &UrlPolicy,
    client: &Client,
) -> anyhow::Result<Vec<FieldError>> {
    let mut faults = check(definition, policy);
    let pools = read_pools(&client.jetstream).await?;
    if let Err(error) = pools.check(&definition.delivery.pool) {
        faults.push(FieldError {
            pointer: String::from(POOL_POINTER),
            code: error.code(),
            detail: error.to_string(),
        });
    }
    Ok(faults)
}

fn refuse(faults: Vec<FieldError>) -> Result<(), Invalid> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Invalid(faults)),
    }
}

async fn check_reach(
    definition: &Definition,
    policy: &UrlPolicy,
    args: &ReachArgs,
) -> anyhow::Result<()> {
    let url = EndpointUrl::parse(&definition.url, policy)
        .map_err(|error| Invalid::field("/url", error.code(), error.to_string()))?;
    if let Some(warning) = reach::check(&url, policy, args).await? {
        note(format_args!("warning: {warning}"));
    }
    Ok(())
}
