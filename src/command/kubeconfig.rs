//! THIN
use crate::{execute::Run, inventory::Inventory, report::Reporter};
pub async fn keep(_: &Run, _: &Inventory, _: Option<&std::path::Path>, _: &Reporter) -> anyhow::Result<()> {
    Ok(())
}
