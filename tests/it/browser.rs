//! The dashboard in Chromium, over the whole product: what an editor and an operator do, and that
//! everybody can.

mod stage;

use std::path::{Path, PathBuf};

use fantoccini::key::Key;
use serde_json::{Value, json};
use tidings_testkit::{Answer, Receiver};

use stage::{SOON, Stage, TOKEN};

/// Whatever is made of this has to show as text.
const SCRIPT: &str = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>";
const SPACE: &str = "/s/acme";

fn entry(id: &str, title: &str) -> Value {
    json!({
        "id": id, "space": "acme", "topic": "Entry.publish",
        "entity": {"id": "home", "type": "Entry", "contentType": "article"},
        "payload": {"sys": {"id": "home"}, "fields": {"title": title}},
    })
}

fn failing() -> Answer {
    Answer::status(500)
        .header("content-type", "text/html")
        .header("x-note", SCRIPT)
        .body(SCRIPT)
}

async fn is_not_pwned(stage: &Stage) {
    assert_eq!(stage.run("return window.pwned").await, Value::Null);
}

/// Fills in the form of a new webhook with the keyboard alone, from its first field on.
async fn create_by_keyboard(stage: &Stage, name: &str, url: &str) {
    let press = async |keys: &str| {
        let element = stage.browser.active_element().await.unwrap();
        element.send_keys(keys).await.unwrap();
    };
    let tab = char::from(Key::Tab).to_string();
    press(name).await;
    press(&tab).await;
    press(url).await;
    press(&tab).await; // whether events are sent
    press(&tab).await; // the first topic: anything, any
    press(" ").await;
    press(&String::from(char::from(Key::Enter))).await;
}

/// Signing in: a wrong token is refused, and the page that was asked for comes after the right.
async fn signs_in(stage: &Stage) {
    stage.sign_in("tdg_a-token-that-nobody-made").await;
    stage.sees("unknown, was revoked or has expired").await;
    stage.goto(&format!("{SPACE}/webhooks")).await;
    stage.sees("Sign in").await;
    stage.fill("#token", TOKEN).await;
    stage.click("main form button").await;
    stage.sees("No webhooks yet").await;
}

/// Creating: the panel opens over the list, tells what is missing, and keeps what was typed.
async fn creates_in_the_panel(stage: &Stage, url: &str) {
    stage.click(".empty a.primary").await;
    stage.fill("dialog #name", SCRIPT).await;
    stage.click("dialog .form-foot .primary").await;
    stage.sees("The URL is empty; give an address").await;
    stage.sees("Tick at least one event.").await;
    let name = stage.find("dialog #name").await;
    assert_eq!(name.prop("value").await.unwrap().as_deref(), Some(SCRIPT));
    stage.fill("dialog #url", "http://user@localhost/").await;
    // Told while somebody types, without sending the form.
    stage.sees("has an `@` before its path").await;
    stage.fill("dialog #url", url).await;
    stage.click("dialog input[value='Entry.publish']").await;
    stage.sees("webhook-signature").await;
    stage.click("dialog .form-foot .primary").await;
    stage.sees("Webhook created").await;
    let secret = stage.find("dialog #secret").await;
    let secret = secret.prop("value").await.unwrap().unwrap_or_default();
    assert!(secret.starts_with("whsec_"), "{secret}");
    stage.click("dialog .primary").await;
    stage.sees("Nothing sent yet").await;
    is_not_pwned(stage).await;
}

/// A failing delivery appears without reloading, and its page shows the answer as text.
async fn sees_it_fail_live(stage: &Stage) {
    stage.run("window.isSame = true").await;
    stage.publish(&entry("evt-1", SCRIPT)).await;
    stage.sees("retrying").await;
    assert_eq!(
        stage.run("return window.isSame").await,
        true,
        "it was not reloaded"
    );
    is_not_pwned(stage).await;
    stage.click("tr[data-row] a.name").await;
    stage.sees("Look at the receiver’s log at this time.").await;
    stage.sees("onerror").await;
    is_not_pwned(stage).await;
}

/// Redelivering, once the receiver is well again.
async fn redelivers(stage: &Stage, receiver: &Receiver) {
    receiver.set_answers(Answer::status(204));
    stage.click(".head button.primary").await;
    stage.sees("It is sent again").await;
    stage.find(".badge.ok").await;
    stage.click(".facts a[href*='/events/']").await;
    stage.sees("What became of it").await;
    is_not_pwned(stage).await;
}

/// Editing and the toggle.
async fn edits_and_toggles(stage: &Stage) {
    stage.goto(&format!("{SPACE}/webhooks")).await;
    stage.click(".name-cell a.name").await;
    stage.click("a[href$='/edit']").await;
    stage.fill("dialog #name", "Site").await;
    stage.click("dialog .form-foot .primary").await;
    stage.sees("version 2").await;
    stage.goto(&format!("{SPACE}/webhooks")).await;
    stage.click("button[role=switch][aria-checked=true]").await;
    stage.find("button[role=switch][aria-checked=false]").await;
    stage.click("button[role=switch][aria-checked=false]").await;
    stage.find("button[role=switch][aria-checked=true]").await;
}

/// A pause asks first, says that deliveries wait, and ends with one button.
async fn pauses_and_resumes(stage: &Stage) {
    stage.click(".name-cell a.name").await;
    stage.click(".tabs a[href$='tab=settings']").await;
    stage.click("a[href$='/pause']").await;
    stage.sees("none is lost").await;
    stage.click("dialog form .primary").await;
    stage.sees("Paused. Somebody paused it.").await;
    stage.click("form[action$='/resume'] button").await;
    stage.find(".head .badge.ok").await;
}

/// A test event goes the whole way, and its result appears.
async fn sends_a_test(stage: &Stage) {
    stage.click("form[action$='/test'] button").await;
    stage.sees("This is a test event.").await;
    stage.find(".attempt .text-ok").await;
    stage.goto(&format!("{SPACE}/webhooks")).await;
}

/// A replay: counted first, then watched to its end.
async fn replays(stage: &Stage, receiver: &Receiver) {
    stage.click(".name-cell a.name").await;
    stage.click("a[href$='/replay']").await;
    stage.click("button[value=count]").await;
    stage.sees("2 deliveries would be sent again").await;
    stage.click("button[value=start]").await;
    stage.sees("2 of 2 sent again").await;
    receiver.wait_for(5, SOON).await;
}

/// Signing out ends it.
async fn signs_out(stage: &Stage) {
    stage
        .click(".wide-only form[action='/sign-out'] button")
        .await;
    stage.sees("Sign in").await;
    stage.goto(&format!("{SPACE}/webhooks")).await;
    stage.sees("Access token").await;
}

#[tokio::test]
async fn an_editor_creates_a_webhook_and_an_operator_puts_a_failure_right() {
    let stage = Stage::start().await;
    let receiver = Receiver::answering(failing()).await;
    let url = receiver.url("/hook");
    signs_in(&stage).await;
    creates_in_the_panel(&stage, &url).await;
    sees_it_fail_live(&stage).await;
    redelivers(&stage, &receiver).await;
    edits_and_toggles(&stage).await;
    pauses_and_resumes(&stage).await;
    sends_a_test(&stage).await;
    replays(&stage, &receiver).await;
    // The keyboard alone is enough.
    stage.goto(&format!("{SPACE}/webhooks/new")).await;
    create_by_keyboard(&stage, "By keyboard", &url).await;
    stage.sees("Webhook created").await;
    signs_out(&stage).await;
    stage.end().await;
}

/// Every page that there is, by the name of its pictures.
async fn pages(stage: &Stage, webhook: &str) -> Vec<(&'static str, String)> {
    stage.goto(&format!("{SPACE}/deliveries")).await;
    let delivery = stage
        .find("tr[data-row]")
        .await
        .attr("data-row")
        .await
        .unwrap();
    let delivery = delivery.unwrap_or_default();
    let own = format!("{SPACE}/webhooks/{webhook}");
    let in_space = |path: &str| format!("{SPACE}/{path}");
    vec![
        ("webhooks", in_space("webhooks")),
        (
            "webhooks-nothing-found",
            in_space("webhooks?q=nothing-is-called-so"),
        ),
        ("webhook-new", in_space("webhooks/new")),
        ("webhook-edit", format!("{own}/edit")),
        ("webhook", own.clone()),
        ("webhook-deliveries", format!("{own}?tab=deliveries")),
        ("webhook-settings", format!("{own}?tab=settings")),
        ("webhook-delete", format!("{own}/delete")),
        ("replay-new", format!("{own}/replay")),
        ("deliveries", in_space("deliveries")),
        ("delivery", in_space(&format!("deliveries/{delivery}"))),
        ("events", in_space("events")),
        ("event", in_space("events/evt-1")),
        ("dead-letters", in_space("dead-letters")),
        ("dead-letters-all", in_space("dead-letters/redeliver-all")),
        ("replays", in_space("replays")),
        ("audit", in_space("audit")),
        ("settings", in_space("settings")),
        ("egress", String::from("/egress")),
        ("spaces", String::from("/admin/spaces")),
        ("tokens", String::from("/admin/tokens")),
        ("status", String::from("/admin/status")),
        ("all-changes", String::from("/admin/audit")),
        ("not-found", in_space("nothing")),
    ]
}

/// What axe finds on the page, of what hinders people seriously.
async fn serious_findings(stage: &Stage, axe: &str) -> Vec<String> {
    stage.run(axe).await;
    let ask = "const done = arguments[0]; axe.run().then(
        (found) => done({ checked: found.passes.length, found: found.violations
            .filter((v) => ['serious', 'critical'].includes(v.impact))
            .map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`) }),
        (error) => done({ checked: 0, found: [String(error)] }));";
    let answer = stage.browser.execute_async(ask, Vec::new()).await.unwrap();
    assert!(
        answer["checked"].as_u64() > Some(5),
        "axe looked at nothing: {answer}"
    );
    let found = answer["found"].as_array().unwrap().iter();
    found.map(ToString::to_string).collect()
}

/// Takes a picture of the whole page.
async fn photograph(stage: &Stage, file: &Path, width: u32) {
    let height = stage
        .run("return document.documentElement.scrollHeight + 180")
        .await;
    let height = height.as_u64().unwrap_or(900).clamp(900, 3_000);
    let height = u32::try_from(height).unwrap();
    stage.browser.set_window_size(width, height).await.unwrap();
    let picture = stage.browser.screenshot().await.unwrap();
    std::fs::write(file, picture).unwrap();
}

/// Looks at pages in light and dark, wide and narrow, and gathers what is wrong with them.
struct Review<'a> {
    stage: &'a Stage,
    axe: String,
    pictures: PathBuf,
    findings: Vec<String>,
}

impl Review<'_> {
    async fn page(&mut self, name: &str, path: &str) {
        for theme in ["light", "dark"] {
            self.stage.goto(path).await;
            self.look(name, theme).await;
        }
    }

    /// The form of a new webhook in the side panel, and the secret that it ends with.
    async fn panel(&mut self, url: &str) {
        let stage = self.stage;
        stage.goto(&format!("{SPACE}/webhooks")).await;
        stage.click(".head a.primary").await;
        stage.find("dialog #name").await;
        for theme in ["light", "dark"] {
            self.look("panel-new", theme).await;
        }
        stage.click("dialog .form-foot .primary").await;
        stage.sees("Tick at least one event.").await;
        self.look("panel-faults", "light").await;
        stage.fill("dialog #url", url).await;
        stage.click("dialog input[value='Entry.publish']").await;
        stage.click("dialog .form-foot .primary").await;
        stage.find("dialog #secret").await;
        for theme in ["light", "dark"] {
            self.look("panel-secret", theme).await;
        }
    }

    /// The page as it is now.
    async fn look(&mut self, name: &str, theme: &str) {
        let stage = self.stage;
        let set = format!("document.documentElement.dataset.theme = '{theme}'");
        stage.run(&set).await;
        for width in [1280, 390, 360] {
            stage.browser.set_window_size(width, 900).await.unwrap();
            if width != 360 {
                let file = format!("{name}-{theme}-{width}.png");
                photograph(stage, &self.pictures.join(file), width).await;
            }
            let overflow = "return document.documentElement.scrollWidth - innerWidth";
            if stage.run(overflow).await.as_i64() > Some(0) {
                let finding = format!("{name} at {width}: wider than the window");
                self.findings.push(finding);
            }
        }
        stage.browser.set_window_size(1280, 900).await.unwrap();
        let found = serious_findings(stage, &self.axe).await;
        let named = found.iter().map(|it| format!("{name}, {theme}: {it}"));
        self.findings.extend(named);
    }
}

#[tokio::test]
async fn everybody_can_use_every_page_in_light_and_dark_wide_and_narrow() {
    let stage = Stage::start().await;
    let receiver = Receiver::answering(failing()).await;
    let axe = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../.tools/browser/node_modules/axe-core/axe.min.js"
    );
    let axe = std::fs::read_to_string(axe).expect("tools/browser.sh fetches it");
    let wanted = json!({
        "name": "Rebuild the site", "url": receiver.url("/hook"), "topics": ["Entry.*", "Asset.publish"],
        "headers": [{"key": "X-Source", "value": "cms"}, {"key": "X-Key", "value": "s3cret", "secret": true}],
        "filters": [{"equals": [{"doc": "sys.id"}, "home"]}],
        "delivery": {"maxRetries": 1, "retrySchedule": ["100ms"]},
    });
    let webhook = stage.post("/spaces/acme/webhooks", &wanted).await;
    let id = webhook["id"].as_str().unwrap().to_owned();
    let elsewhere = json!({"name": "Search index", "url": receiver.url("/index"), "topics": ["Asset.*"], "enabled": false});
    stage.post("/spaces/acme/webhooks", &elsewhere).await;
    stage.publish(&entry("evt-1", "Hello")).await;
    receiver.wait_for(2, SOON).await;
    stage.sign_in(TOKEN).await;
    stage.goto(&format!("{SPACE}/dead-letters")).await;
    stage.sees("every retry failed").await;

    let mut review = Review {
        stage: &stage,
        axe,
        pictures: Stage::screenshots(),
        findings: Vec::new(),
    };
    for (name, path) in pages(&stage, &id).await {
        review.page(name, &path).await;
    }
    review.panel(&receiver.url("/new")).await;
    let own = format!("/spaces/acme/webhooks/{id}");
    let later = json!({"until": "2099-01-01T00:00:00Z"});
    stage.post(&format!("{own}/pause"), &later).await;
    review
        .page("webhook-paused", &format!("{SPACE}/webhooks/{id}"))
        .await;
    review
        .page("webhooks-paused", &format!("{SPACE}/webhooks"))
        .await;
    let everything = json!({"from": "2020-01-01T00:00:00Z"});
    let replay = stage.post("/spaces/acme/replays", &everything).await;
    let replay = replay["replay"]["id"].as_str().unwrap().to_owned();
    review
        .page("replay", &format!("{SPACE}/replays/{replay}"))
        .await;
    review.page("nothing-yet", "/s/empty/webhooks").await;
    review
        .page("nothing-yet-deliveries", "/s/empty/deliveries")
        .await;
    review.page("nothing-yet-events", "/s/empty/events").await;
    stage.browser.delete_all_cookies().await.unwrap();
    review.page("sign-in", &format!("{SPACE}/webhooks")).await;
    let findings = review.findings;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    stage.end().await;
}
