use cloakroom::Token;
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
        None => Err(Failure::not_found("no valid session has this token")),
    }
}

pub(crate) fn run(context: &Context, command: args::Token) -> Result<(), Failure> {
    match command {
        args::Token::Generate => {
            let token = Token::generate(context.config.token_length())
                .map_err(|error| Failure::trouble("no token could be made").caused_by(&error))?;
            context.output.answer(&json!({"token": token.expose()}), token.expose())
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

fn read(input: &TokenInput) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !input.refused.is_empty() {
        return Err(Failure::usage(
            "an argument that does not belong here; a token is read from standard input or --token-file, \
             never from an argument, which every process can see",
        ));
    }
    input::token(input.token_file.as_deref())
}
