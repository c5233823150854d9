//! Authenticate without asking the database: the cache, what bounds it, and the tokens that are verified by
//! themselves.

use crate::Outcome;
use crate::contestants::in_memory::{Owned, Shared};
use crate::contestants::jwt::Jwt;
use crate::contestants::{Authenticate, lane, name};
use crate::ground::{Ground, ROWS};
use crate::payload::Tokens;
use crate::report::callers;
use crate::results::Table;

pub fn run(ground: &mut Ground) -> Outcome<Vec<Table>> {
    ground.progress.step("signing 100,000 tokens");
    let tokens = &Tokens::of(ROWS);
    let shared = Shared::new(ROWS, tokens);
    let lanes = [
        lane::<Authenticate, _>(name::SHARED, shared.clone()),
        lane::<Authenticate, _>(name::OWNED, Owned(shared)),
        lane::<Authenticate, _>(name::HS256, Jwt::hs256(ROWS)?),
        lane::<Authenticate, _>(name::EDDSA, Jwt::eddsa(ROWS)?),
    ];
    let numbers: &[usize] = if ground.plan.quick { &[1, 128] } else { &[1, 16, 128, 1024] };
    let compare = |number: &usize| {
        let title = format!("authenticate without the database, {}", callers(*number));
        ground.compare_untimed(format!("cached/{number}"), title, &lanes, *number)
    };
    numbers.iter().map(compare).collect()
}
