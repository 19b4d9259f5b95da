use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};

/// `now` is in seconds since 1970.
pub(crate) fn verify(secret: &str, headers: [&str; 3], body: &[u8], now: i64) -> bool {
    let [id, timestamp, signatures] = headers;
    let Ok(sent) = timestamp.parse::<i64>() else {
        return false;
    };
    let Ok(key) = STANDARD.decode(secret.trim_start_matches("whsec_")) else {
        return false;
    };
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any key length is fine");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let is_signed = signatures.split(' ').any(|given| {
        let given = given.strip_prefix("v1,").unwrap_or_default();
        let given = STANDARD.decode(given).unwrap_or_default();
        mac.clone().verify_slice(&given).is_ok()
    });
    is_signed && (now - sent).abs() <= 300
}
