//! Reading a request, and saying clearly what is wrong with it.

use axum::body::Body;
use axum::extract::Query as Parameters;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::archive::Archive;
use super::choices::Endpoint;
use super::cursor::Asked;
use super::id::Id;
use super::options::Options;
use super::select::Window;
use super::stats::RequestLog;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    retry_after: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn retry_after(self, value: Option<String>) -> Self {
        Self {
            retry_after: value,
            ..self
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = serde_json::json!({"error": {"code": self.code, "message": self.message}});
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
        if let Some(value) = self.retry_after.and_then(|value| value.parse().ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// The parameters of a request; of one that is given twice the first counts.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(
            Parameters::try_from_uri(uri)
                .map(|Parameters(parameters)| parameters)
                .unwrap_or_default(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn log(&self) -> RequestLog {
        let number = |name| self.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        RequestLog {
            start_time: number("start_time"),
            end_time: number("end_time"),
            bot: self.get("bot_name").unwrap_or_default().to_owned(),
            per_page: self
                .get("per_page")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            cursor: self.get("cursor").map(str::to_owned),
            ..RequestLog::default()
        }
    }

    pub(super) fn asked(
        &self,
        endpoint: Endpoint,
        options: &Options,
        archive: &Archive,
    ) -> Result<Asked, Refusal> {
        let (start, end) = (self.seconds("start_time")?, self.seconds("end_time")?);
        if start > end {
            return Err(Refusal::invalid("start_time is later than end_time"));
        }
        let longest = i64::from(options.range_refused_above);
        if longest > 0 && end.saturating_sub(start) > longest {
            let message =
                format!("the range between start_time and end_time must not exceed {longest} seconds");
            return Err(Refusal::new(400, "range_too_long", message));
        }
        let most = options.per_page_max;
        let per_page = match self.get("per_page") {
            None => options.per_page_default,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| (1..=most).contains(count))
                .ok_or_else(|| Refusal::invalid(format!("per_page must be a number between 1 and {most}")))?,
        };
        let name = self
            .get("bot_name")
            .ok_or_else(|| Refusal::invalid("bot_name is missing"))?;
        let (bot, _) = archive
            .bot(name)
            .ok_or_else(|| Refusal::new(404, "unknown_bot", "there is no bot of this name"))?;
        let conversation = match self
            .get("conversation_id")
            .filter(|_| endpoint == Endpoint::Messages)
        {
            None => None,
            Some(text) => Some(Id::parse(text).ok_or_else(|| Refusal::invalid("conversation_id is no id"))?),
        };
        Ok(Asked {
            endpoint,
            bot,
            window: Window {
                start,
                end,
                conversation,
            },
            per_page,
        })
    }

    fn seconds(&self, name: &str) -> Result<i64, Refusal> {
        let text = self
            .get(name)
            .ok_or_else(|| Refusal::invalid(format!("{name} is missing")))?;
        text.parse()
            .map_err(|_| Refusal::invalid(format!("{name} must be an integer, in Unix seconds")))
    }
}
