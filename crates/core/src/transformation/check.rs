//! Whether a transformation can be used, place by place.

use serde_json::Value;

use super::text::Text;
use super::{
    Media, POINTERS_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, Transformation, is_enveloped, url,
};
use crate::webhook::{Definition, FieldError, Format};

const PLACE: &str = "/transformation";

/// Checks the templates of a definition, but for URL and headers, whose rules are their own.
#[must_use]
pub(crate) fn check(definition: &Definition) -> Vec<FieldError> {
    let mut checker = Checker::default();
    if let Some(transformation) = &definition.transformation {
        checker.check(transformation, definition.format);
    }
    let headers = definition.headers.iter();
    let texts = headers.filter_map(|header| Text::parse(header.value.as_ref()?.expose()).ok());
    let elsewhere: usize = texts.map(|text| text.pointers()).sum();
    let pointers = checker.pointers + elsewhere + url::pointers(&definition.url);
    if pointers > POINTERS_MAX {
        let detail = format!(
            "URL, headers and body have {pointers} pointers together, the limit is {POINTERS_MAX}"
        );
        checker.fault(PLACE, "too_many", detail);
    }
    checker.errors
}

#[derive(Default)]
struct Checker {
    errors: Vec<FieldError>,
    pointers: usize,
}

impl Checker {
    fn check(&mut self, transformation: &Transformation, format: Format) {
        let media = transformation.content_type.as_deref().map(str::parse);
        let media: Option<Result<Media, _>> = media;
        if let Some(Err(error)) = &media {
            let place = format!("{PLACE}/contentType");
            self.fault(&place, "bad_content_type", error.to_string());
        }
        if let Some(body) = &transformation.body {
            self.check_body(body);
            let is_form = matches!(media, Some(Ok(Media::Form { .. })));
            if is_form && !can_be_object(body) {
                let detail = "a form is made of an object; give one, or a pointer to one";
                self.fault(&format!("{PLACE}/body"), "bad_form", detail);
            }
        }
        if is_enveloped(format) {
            self.check_envelope(transformation, format);
        }
    }

    /// What a format fixes that is more than a payload with headers.
    fn check_envelope(&mut self, transformation: &Transformation, format: Format) {
        if transformation.content_type.is_some() {
            let detail = format!("the format {format} has a content type of its own; leave it out");
            self.fault(&format!("{PLACE}/contentType"), "conflict", detail);
        }
        if transformation.method.is_some_and(|verb| !verb.has_body()) {
            let detail =
                format!("the format {format} is nothing without a body; take POST, PUT or PATCH");
            self.fault(&format!("{PLACE}/method"), "conflict", detail);
        }
    }

    fn check_body(&mut self, body: &Value) {
        let place = format!("{PLACE}/body");
        let bytes = body.to_string().len();
        if bytes > TEMPLATE_BYTES_MAX {
            let detail = format!("it has {bytes} bytes, the limit is {TEMPLATE_BYTES_MAX}");
            self.fault(&place, "too_long", detail);
        }
        self.check_value(body, &place, 1);
    }

    fn check_value(&mut self, value: &Value, place: &str, depth: usize) {
        if depth > TEMPLATE_DEPTH_MAX && (value.is_array() || value.is_object()) {
            let detail = format!("it is nested deeper than {TEMPLATE_DEPTH_MAX} levels");
            return self.fault(place, "too_deep", detail);
        }
        match value {
            Value::String(text) => match Text::parse(text) {
                Ok(text) => self.pointers += text.pointers(),
                Err(error) => self.fault(place, "bad_pointer", error.to_string()),
            },
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.check_value(element, &format!("{place}/{index}"), depth + 1);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let step = name.replace('~', "~0").replace('/', "~1");
                    self.check_value(member, &format!("{place}/{step}"), depth + 1);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fault(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        });
    }
}

/// Whether a template may come out as an object.
fn can_be_object(body: &Value) -> bool {
    match body {
        Value::Object(_) => true,
        Value::String(text) => Text::parse(text).is_ok_and(|text| text.whole().is_some()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}
