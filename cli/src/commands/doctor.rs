//! Whether everything on this device is in order: each document is loaded, and what was put aside is counted.

use roost::Workspace;
use serde_json::json;

use super::documents::{schema_of, shown, with_schemas};
use super::offline;
use super::verdict::put_aside;
use crate::args::Cli;
use crate::output::{Failure, Output};

pub async fn doctor(cli: &Cli, output: &Output) -> Result<(), Failure> {
    // The file itself was checked as it was opened.
    offline(cli, |workspace| look(workspace, output)).await
}

fn look(workspace: &Workspace, output: &Output) -> Result<(), Failure> {
    let documents = workspace.documents()?;
    let mut listed = with_schemas(&documents, &workspace.document_schemas()?);
    let mut lines = Vec::new();
    let mut unreadable = 0;
    for ((object, (_, name)), shown) in listed.iter_mut().zip(&documents).zip(shown(&documents)) {
        let digest = workspace.document(name)?.digest();
        object["loads"] = json!(digest.is_ok());
        let state = match &digest {
            Ok(_) => "loads".to_owned(),
            Err(error) => format!("does not load: {error}"),
        };
        unreadable += usize::from(digest.is_err());
        lines.push(format!("{shown}: {state}{}", schema_of(object)));
    }
    let (status, late, writes) = (workspace.status(), workspace.late_edits()?, workspace.check_writes());
    let is_well = unreadable == 0 && status.quarantined == 0 && !status.diverged && status.contradicted.is_empty();
    let object = json!({
        "workspace": workspace.id(),
        "documents": listed,
        "quarantined": status.quarantined,
        "late_edits": late.len(),
        "diverged": status.diverged,
        "contradicted": status.contradicted,
        "writes": writes.as_ref().map_or_else(roost::Error::code, |_| "ok"),
        "well": is_well,
    });
    lines.push(format!("{} put aside, {} edits missed a rewrite", status.quarantined, late.len()));
    if status.quarantined > 0 {
        lines.push(put_aside(status.quarantined));
    }
    if let Err(error) = &writes {
        lines.push(format!("nothing can be saved now: {error}"));
    }
    output.print(&object, lines);
    if is_well {
        return Ok(writes?);
    }
    let what =
        "not everything is in order: see above; what was put aside is kept in the file, do not delete this folder";
    Err(Failure::attention("not_well", what))
}
