//! `request_rec` as the gateway sees it: environ, request body, response through httpd's filters,
//! and how the thread that has the request waits. Both modes stand on it.

mod choice;
mod conclude;
mod exchange;
mod grace;
mod input;
mod shared;
mod suspended;
mod variables;
mod wait;

pub(crate) use choice::OnOffAuto;
pub(crate) use conclude::conclude;
pub(crate) use exchange::RequestExchange;
pub(crate) use grace::begin_end;
pub(crate) use input::RequestInput;
pub(crate) use suspended::{
    First, Here, Lookout, Place, Turn, Wait, Work, allows, count, drop_all, run, serve, unwatched,
};
pub(crate) use variables::ExchangeContext;
pub(crate) use wait::pause;
