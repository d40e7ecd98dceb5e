//! Bringing a server what it lost.

use roost_shared::Code;
use roost_shared::roster::Record;
use roost_shared::wire::http::CreateWorkspace;

use super::TransportError;
use super::http::Http;

impl Http {
    /// Brings the server what it lost; whether it took anything.
    pub async fn carry(&self, records: &[Record], create: &CreateWorkspace) -> Result<bool, Code> {
        let mut took = false;
        for record in records {
            match self.post_record(record).await {
                Ok(_) => took = true,
                Err(error) => match error.code() {
                    Some(Code::RosterMoved | Code::RosterInvalid) => {} // it has this one, or another in its place
                    Some(Code::NotFound) => return self.create(create).await.map(|_| true).or_else(exists),
                    code => return Err(code.unwrap_or(Code::RetryLater)),
                },
            }
        }
        Ok(took)
    }
}

fn exists(error: TransportError) -> Result<bool, Code> {
    match error.code() {
        Some(Code::WorkspaceExists) => Ok(true), // another device was first
        code => Err(code.unwrap_or(Code::RetryLater)),
    }
}
