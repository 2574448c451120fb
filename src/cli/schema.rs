//! `hostler schema`: what an inventory can say, as JSON schema, for editors and other programs.

use hostler_core::inventory::reference;

use crate::report::Reporter;

pub async fn run(reporter: &Reporter) {
    reporter.result(&format!("{:#}", reference::json_schema())).await;
}
