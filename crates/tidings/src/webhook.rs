//! `tidings webhook`: creates, shows and changes webhooks, straight in their bucket.

mod explain;
mod file;
mod options;
mod secret;
mod show;

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_manage::webhook::{self as manage, Draft, Kept, ReachArgs, Saved};
use tidings_manage::{Actor, Error, Manage, Options};
use tidings_service::clock;

use crate::client::Client;
use crate::output::{Output, note};
use options::{ChangeArgs, DefinitionArgs};

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
    /// Send a test event through everything to this webhook, whatever it subscribes to.
    Test(Target),
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

impl Target {
    /// The same for an operation, whichever version it is at.
    fn of<'a>(&'a self, actor: &'a Actor) -> manage::Target<'a> {
        manage::Target {
            actor,
            space: &self.space,
            id: &self.id,
            version: None,
        }
    }
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

/// Runs the command.
pub(crate) async fn run(args: WebhookArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let manage = client.manage_with(Options {
        plain_secrets: args.plain_secrets,
    });
    let actor = &client.actor;
    match args.action {
        Action::Create(args) => create(args, actor, &manage, output).await,
        Action::List { space } => list(space.as_ref(), &manage, output).await,
        Action::Get(target) => {
            let kept = manage.webhook(&target.space, &target.id).await?;
            warn_if_unserved(&kept, &manage).await?;
            answer(&kept, output)
        }
        Action::Update(args) => update(args, actor, &manage, output).await,
        Action::Delete(target) => {
            manage.delete_webhook(target.of(actor)).await?;
            let id = &target.id;
            let document = serde_json::json!({ "id": id, "deleted": true });
            output.answer(&document, format_args!("deleted {id}"))
        }
        Action::Enable(target) => {
            let kept = manage.enable_webhook(target.of(actor), true).await?;
            answer(&kept, output)
        }
        Action::Disable(target) => {
            let kept = manage.enable_webhook(target.of(actor), false).await?;
            answer(&kept, output)
        }
        Action::Pause(args) => {
            let until = args
                .duration
                .map(|duration| clock::now().checked_add(duration));
            let until = until.transpose().context("--for")?;
            let kept = manage.pause_webhook(args.target.of(actor), until).await?;
            answer(&kept, output)
        }
        Action::Resume(target) => answer(&manage.resume_webhook(target.of(actor)).await?, output),
        Action::Test(target) => test(&target, actor, &manage, output).await,
        Action::Explain(args) => explain::run(&args, client, &manage, output).await,
        Action::Secret(action) => secret::run(action, actor, &manage, output).await,
    }
}

async fn create(
    args: CreateArgs,
    actor: &Actor,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    let mut draft = Draft::default();
    if let Some(file) = args.definition.read_file(&args.space).await? {
        draft.merge(file.into_fields());
    }
    let transformation = args.definition.read_transformation().await?;
    args.definition.apply(&mut draft, transformation)?;
    let reach = args.reach.reach()?;
    let created = manage.create_webhook(actor, &args.space, draft, &reach);
    let saved = created.await.map_err(with_options)?;
    answer_saved(&saved, output)
}

async fn list(space: Option<&Space>, manage: &Manage, output: Output) -> anyhow::Result<()> {
    let webhooks = manage.webhooks(space).await?;
    let views: Vec<Value> = webhooks.iter().map(Kept::view).collect();
    output.answer(&views, show::table(&views))
}

async fn update(
    args: UpdateArgs,
    actor: &Actor,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    let Target { id, space } = &args.target;
    let kept = manage.webhook(space, id).await?;
    let version = kept.webhook.version;
    let mut draft = Draft::of(&kept.webhook.definition);
    if let Some(file) = args.definition.read_file(space).await? {
        draft.merge(file.of_version(id, version)?.into_fields());
    }
    let transformation = args.definition.read_transformation().await?;
    args.definition.apply(&mut draft, transformation)?;
    args.change.apply(&mut draft);
    let reach = args.reach.reach()?;
    let target = manage::Target {
        version: Some(version),
        ..args.target.of(actor)
    };
    let updated = manage.update_webhook(target, &reach, |_| Ok(draft)).await;
    answer_saved(&updated.map_err(with_options)?, output)
}

async fn test(
    target: &Target,
    actor: &Actor,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    let sent = manage.send_test(target.of(actor)).await?;
    let (event, delivery) = (&sent.event_id, &sent.delivery_id);
    let document = serde_json::json!({ "eventId": event, "deliveryId": delivery });
    let text = format!(
        "sent the test event {event}\nsee what becomes of it: tidings delivery show {delivery} \
         --space {}",
        target.space
    );
    output.answer(&document, text)
}

/// Says so if deliveries wait because nobody sends for the webhook's pool.
async fn warn_if_unserved(kept: &Kept, manage: &Manage) -> anyhow::Result<()> {
    let pool = &kept.webhook.definition.delivery.pool;
    if !manage.pools().await?.is_served(pool) {
        note(format_args!(
            "warning: no sender of the pool `{pool}` is alive; deliveries wait for one"
        ));
    }
    Ok(())
}

fn answer(kept: &Kept, output: Output) -> anyhow::Result<()> {
    let document = kept.view();
    output.answer(&document, show::fields(&document))
}

/// The same, with the signing secrets that were made, if any were.
fn answer_saved(saved: &Saved, output: Output) -> anyhow::Result<()> {
    for warning in &saved.warnings {
        note(format_args!("warning: {warning}"));
    }
    let document = saved.view();
    let mut text = show::fields(&document);
    for made in &saved.made {
        text.add("signing secret", made.key.expose());
    }
    if !saved.made.is_empty() {
        note("The signing secret is shown only now; the receiver verifies signatures with it.");
    }
    output.answer(&document, text)
}

/// Names the options of fields that are missing.
fn with_options(error: Error) -> Error {
    let Error::Invalid(mut faults) = error else {
        return error;
    };
    for fault in faults.iter_mut().filter(|fault| fault.code == "missing") {
        let option = match fault.pointer.as_str() {
            "/url" => "--url",
            "/topics" => "--topic",
            _ => continue,
        };
        fault.detail = format!("{}; give it with {option}", fault.detail);
    }
    Error::Invalid(faults)
}
