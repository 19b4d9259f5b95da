//! The secrets of a definition, each with the name of its field.

use super::Definition;
use crate::secret::Secret;

impl Definition {
    /// Every secret, with a name of its field that stays the same while others come and go. It is
    /// part of what a sealed secret is bound to.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        let headers = self.headers.iter().filter(|header| header.secret);
        let headers = headers.filter_map(|header| {
            let value = header.value.as_ref()?;
            Some((header_field(&header.key), value))
        });
        let password = self.basic_auth.as_ref();
        let password = password.and_then(|auth| auth.password.as_ref());
        let keys = self.signing.secrets.iter();
        headers
            .chain(password.map(|password| (password_field(), password)))
            .chain(keys.map(|secret| (signing_field(&secret.id), &secret.key)))
    }

    /// The same, to be sealed or opened in place.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = (String, &mut Secret)> {
        let headers = self.headers.iter_mut().filter(|header| header.secret);
        let headers = headers.filter_map(|header| {
            let field = header_field(&header.key);
            Some((field, header.value.as_mut()?))
        });
        let password = self.basic_auth.as_mut();
        let password = password.and_then(|auth| auth.password.as_mut());
        let keys = self.signing.secrets.iter_mut();
        headers
            .chain(password.map(|password| (password_field(), password)))
            .chain(keys.map(|secret| (signing_field(&secret.id), &mut secret.key)))
    }
}

fn header_field(key: &str) -> String {
    format!("headers/{}", key.to_ascii_lowercase())
}

fn password_field() -> String {
    String::from("basicAuth/password")
}

fn signing_field(id: &str) -> String {
    format!("signing/secrets/{id}")
}
