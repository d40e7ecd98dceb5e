//! The route table, nothing else. The router is made from it, and so is the test that tries every credential on every
//! route.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post};
use axum::{Router, middleware};

use crate::app::App;
use crate::http::{entries, extract, health, links, live, roster, session, tokens, workspaces};

/// What a request must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing, or something in its body that is no token.
    Nothing,
    /// A token of the workspace; a join token will do.
    Read,
    /// A token of an active device.
    Device,
    /// A token of a device that may append, and its signatures.
    Append,
    /// A master token.
    Master,
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, as axum writes it.
    pub path: &'static str,
    /// What a request must show.
    pub needs: Needs,
    handler: Handler,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handler {
    Create,
    Show,
    PostRecord,
    Chain,
    Recover,
    Append,
    Read,
    Tree,
    ChangeLog,
    Live,
    IssueToken,
    Tokens,
    WithdrawToken,
    Session,
    Redeem,
    Capabilities,
    Alive,
    Ready,
}

const fn route(method: &'static str, path: &'static str, needs: Needs, handler: Handler) -> Route {
    Route { method, path, needs, handler }
}

/// Every route there is.
pub const ROUTES: [Route; 18] = [
    route("POST", "/v1/workspaces", Needs::Nothing, Handler::Create),
    route("GET", "/v1/workspaces/{ws}", Needs::Read, Handler::Show),
    route("POST", "/v1/workspaces/{ws}/roster", Needs::Nothing, Handler::PostRecord),
    route("GET", "/v1/workspaces/{ws}/roster", Needs::Read, Handler::Chain),
    route("POST", "/v1/workspaces/{ws}/recovery", Needs::Nothing, Handler::Recover),
    route("POST", "/v1/workspaces/{ws}/entries", Needs::Append, Handler::Append),
    route("GET", "/v1/workspaces/{ws}/entries", Needs::Read, Handler::Read),
    route("GET", "/v1/workspaces/{ws}/tree", Needs::Read, Handler::Tree),
    route("POST", "/v1/workspaces/{ws}/log", Needs::Device, Handler::ChangeLog),
    route("GET", "/v1/workspaces/{ws}/live", Needs::Nothing, Handler::Live),
    route("POST", "/v1/workspaces/{ws}/tokens", Needs::Master, Handler::IssueToken),
    route("GET", "/v1/workspaces/{ws}/tokens", Needs::Master, Handler::Tokens),
    route("DELETE", "/v1/workspaces/{ws}/tokens/{token}", Needs::Master, Handler::WithdrawToken),
    route("POST", "/v1/session", Needs::Nothing, Handler::Session),
    route("POST", "/v1/links/redeem", Needs::Nothing, Handler::Redeem),
    route("GET", "/v1/capabilities", Needs::Nothing, Handler::Capabilities),
    route("GET", "/healthz", Needs::Nothing, Handler::Alive),
    route("GET", "/readyz", Needs::Nothing, Handler::Ready),
];

impl Handler {
    fn serves(self) -> MethodRouter<Arc<App>> {
        match self {
            Self::Create => post(workspaces::create),
            Self::Show => get(workspaces::show),
            Self::PostRecord => post(roster::append),
            Self::Chain => get(roster::chain),
            Self::Recover => post(roster::recover),
            Self::Append => post(entries::append),
            Self::Read => get(entries::read),
            Self::Tree => get(entries::tree),
            Self::ChangeLog => post(workspaces::change_log),
            Self::Live => get(live::upgrade),
            Self::IssueToken => post(tokens::issue),
            Self::Tokens => get(tokens::list),
            Self::WithdrawToken => delete(tokens::withdraw),
            Self::Session => post(session::ask),
            Self::Redeem => post(links::redeem),
            Self::Capabilities => get(health::capabilities),
            Self::Alive => get(health::alive),
            Self::Ready => get(health::ready),
        }
    }
}

/// Every route served.
pub fn router(app: Arc<App>) -> Router {
    let empty = Router::new();
    let routed = ROUTES.iter().fold(empty, |router, route| router.route(route.path, route.handler.serves()));
    routed.fallback(health::nothing_here).layer(middleware::from_fn(extract::names_one_host)).with_state(app)
}
