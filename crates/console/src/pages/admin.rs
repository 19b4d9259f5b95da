//! Pages for administrators: spaces, tokens, and how the installation is doing.

mod spaces;
mod status;
mod tokens;

pub(crate) use spaces::{open_space, save_space, space_settings, spaces};
pub(crate) use status::status;
pub(crate) use tokens::{ask_revoke, make_token, revoke, tokens};
