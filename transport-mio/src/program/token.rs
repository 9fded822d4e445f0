//! Making an access token: what the client gets, and what the relay's file gets.

use phantom_mio::AccessToken;

use super::fault::{Fault, Status};

/// Two lines: the token, and the line for the file. Nothing of the token is kept.
pub(crate) fn make(name: Option<&str>) -> Result<String, Fault> {
    let name = name.unwrap_or("");
    if name.chars().any(char::is_control) {
        return Err(Fault::new(Status::Settings, "the name of a token is one line of text"));
    }
    let token = AccessToken::draw().map_err(|error| {
        Fault::new(Status::System, format!("the system gives no random numbers: {error}"))
    })?;
    let line = format!("{} {name}", token.hash());
    Ok(format!(
        "token for the client:     {}\nline for access_tokens:   {}\n",
        token.reveal(),
        line.trim_end()
    ))
}
