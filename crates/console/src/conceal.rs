//! Webhooks of which requests are made that nobody sends: to look at, without their secrets.

use tidings_core::secret::Secret;
use tidings_core::signature::{ENTROPY_BYTES, secret_for};
use tidings_core::webhook::{Definition, Scheme, SigningSecret};

/// Puts something else in the place of every secret.
pub(crate) fn conceal(definition: &mut Definition) {
    for (field, secret) in definition.secrets_mut() {
        if !field.starts_with("signing/") {
            *secret = Secret::new("hidden");
        }
    }
    for header in definition.headers.iter_mut().filter(|header| header.secret) {
        header.value.get_or_insert_with(|| Secret::new("hidden"));
    }
    if let Some(auth) = &mut definition.basic_auth {
        auth.password.get_or_insert_with(|| Secret::new("hidden"));
    }
    let signing = &mut definition.signing;
    let schemes = match signing.schemes.as_slice() {
        [] => Scheme::of_format(definition.format),
        named => named,
    };
    let secret = |scheme: &Scheme| {
        let key = secret_for(*scheme, &[7; ENTROPY_BYTES]);
        SigningSecret::new(String::from("sec_preview"), key)
    };
    signing.secrets = schemes.iter().map(secret).collect();
    signing.schemes = schemes.to_vec();
}
