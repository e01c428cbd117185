//! Previews the first records of a range without writing anything.

use arrow::array::RecordBatch;

use crate::api::{ApiRequest, Connection, HttpClient, RateLimiter, RequestStats};
use crate::blocking;
use crate::dataset::{Dataset, decode};
use crate::error::{Error, Result};
use crate::window::Window;

/// The first records of a range, in the order of the API.
#[derive(Debug)]
pub struct Preview {
    /// The page as received.
    pub page: Vec<u8>,
    /// Its records as rows.
    pub rows: RecordBatch,
    /// Records that cannot become rows.
    pub rejected: usize,
}

/// Requests one page with so many records. Writes nothing.
///
/// # Errors
/// If the API does not return the page.
pub async fn preview(
    connection: &Connection,
    dataset: Dataset,
    bot: &str,
    range: Window,
    records: u32,
) -> Result<Preview> {
    let connection = connection.clone();
    let client = blocking::run("the preparation", || {
        HttpClient::new(connection).map_err(Error::Connection)
    });
    let client = client.await?;
    let ask = ApiRequest {
        endpoint: dataset.endpoint(),
        bot: bot.to_owned(),
        window: range,
        per_page: records,
        cursor: None,
        conversation: None,
        may_shrink: false,
    };
    let budget = RateLimiter::new(0.0);
    let not_fetched = |source| Error::Fetch {
        dataset: dataset.name(),
        bot: bot.to_owned(),
        window: range.to_string(),
        source,
    };
    let sent = budget.permit().await.map_err(not_fetched)?.spend();
    let read = move |body: &[u8]| decode(dataset, body).map_err(|error| error.to_string());
    let page = client
        .page(&ask, true, &budget, sent, &RequestStats::default(), read)
        .await;
    let (answer, decoded) = page.map_err(not_fetched)?;
    Ok(Preview {
        rows: decoded.batch,
        rejected: decoded.rejected.len(),
        page: answer.body,
    })
}
