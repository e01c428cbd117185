//! `converse-export demo`.
use super::args::{DemoArgs, Told};
use crate::error::Result;
use crate::fetch::Stop;
pub(super) async fn run(_args: &DemoArgs, _told: &Told, _stop: Stop) -> Result<u8> {
    Ok(0)
}
