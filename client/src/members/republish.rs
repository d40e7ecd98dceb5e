//! Republishing of roster records to a server that lost them: the next one to post, and the meaning of each answer. Pure; a
//! driver sends, and a simulator does.

use std::collections::VecDeque;

use roost_shared::Code;
use roost_shared::roster::Record;
use roost_shared::wire::http::CreateWorkspace;

/// Records on their way to a server that may lack them.
#[derive(Debug, Clone)]
pub struct Republish {
    records: VecDeque<Record>,
    create: CreateWorkspace,
    state: State,
    took: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Posting,
    Creating,
    Over(Result<bool, Code>),
}

/// The next thing to be done.
#[derive(Debug)]
pub enum Next<'a> {
    /// Post this record.
    Post(&'a Record),
    /// Create the workspace: the server lost it altogether.
    Create(&'a CreateWorkspace),
    /// Nothing more: whether the server took anything, or the code for which it did not.
    Over(Result<bool, Code>),
}

impl Republish {
    /// The records that the server may lack, in order; and what creates the workspace anew if it is gone.
    pub fn new(records: Vec<Record>, create: CreateWorkspace) -> Self {
        Self { records: records.into(), create, state: State::Posting, took: false }
    }

    /// The next request.
    pub fn next(&self) -> Next<'_> {
        match (self.state, self.records.front()) {
            (State::Posting, Some(record)) => Next::Post(record),
            (State::Posting, None) => Next::Over(Ok(self.took)),
            (State::Creating, _) => Next::Create(&self.create),
            (State::Over(over), _) => Next::Over(over),
        }
    }

    /// The answer to that request; None for a code where the server gave none.
    pub fn answered(&mut self, answer: Result<(), Option<Code>>) {
        self.state = match (self.state, answer) {
            (State::Posting, Ok(())) => {
                self.took = true;
                self.records.pop_front();
                State::Posting
            }
            // The server has this record, or another in its place.
            (State::Posting, Err(Some(Code::RosterMoved | Code::RosterInvalid))) => {
                self.records.pop_front();
                State::Posting
            }
            (State::Posting, Err(Some(Code::NotFound))) => State::Creating,
            // Another device was first.
            (State::Creating, Ok(()) | Err(Some(Code::WorkspaceExists))) => State::Over(Ok(true)),
            (State::Posting | State::Creating, Err(code)) => State::Over(Err(code.unwrap_or(Code::RetryLater))),
            (State::Over(over), _) => State::Over(over),
        };
    }
}
