use cloakroom::DigestError;
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{self, Authenticate, TokenInput};
use crate::context::Context;
use crate::failure::Failure;
use crate::input;

pub(crate) async fn authenticate(context: &Context, command: Authenticate) -> Result<(), Failure> {
    let token = read(&command.token)?;
    let sessions = context.sessions().await?;
    match sessions.authenticate(&*token).await? {
        Some(session) => context.output.session(&session, sessions.config().now()),
        None => Err(not_found(context, &token)),
    }
}

pub(crate) fn run(context: &Context, command: args::Token) -> Result<(), Failure> {
    match command {
        args::Token::Generate => {
            let token = context.config.token_format().generate();
            let token =
                token.map_err(|error| Failure::trouble("no token could be made").caused_by(&error))?;
            context.output.answer(&json!({"token": token.expose()}), token.expose())
        }
        args::Token::Regex => {
            let regex = context.config.token_format().regex().ok_or_else(|| {
                Failure::usage("tokens without a prefix cannot be told from other words; say --prefix")
            })?;
            context.output.answer(&json!({"regex": regex}), &regex)
        }
        args::Token::Digest(input) => {
            let token = read(&input)?;
            let digest = context
                .config
                .digest(&*token)
                .map_err(|error| Failure::usage("this is no token").caused_by(&error))?;
            context.output.answer(&json!({"digest": digest.expose()}), digest.expose())
        }
    }
}

/// Says that no valid session has the token, and why if it cannot have one.
fn not_found(context: &Context, token: &[u8]) -> Failure {
    let failure = Failure::not_found("no valid session has this token");
    match context.config.digest(token) {
        Err(error @ DigestError::Format) => failure.caused_by(&error),
        _ => failure,
    }
}

fn read(input: &TokenInput) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !input.refused.is_empty() {
        return Err(Failure::usage(
            "an argument that does not belong here; a token is read from standard input or --token-file, \
             never from an argument, which every process can see",
        ));
    }
    input::token(input.token_file.as_deref())
}
