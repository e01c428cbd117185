//! Signs of errors, and fields that are none.

use super::super::super::json::Walk;
use super::*;

/// The sign in the fields of an answer.
fn sign(fields: &str, page: Page) -> Option<String> {
    let mut walk = Walk::new(fields);
    let mut envelope = Envelope::default();
    walk.open();
    while let Some(key) = walk.key() {
        envelope.0.push((key, walk.value()));
    }
    assert!(walk.fault().is_none(), "{fields}");
    envelope.sign_of_an_error(page)
}

const LAST_AND_EMPTY: Page = Page {
    ends: true,
    is_empty: true,
};
const LAST: Page = Page {
    ends: true,
    is_empty: false,
};
const CONTINUED: Page = Page {
    ends: false,
    is_empty: false,
};

#[test]
fn invariant_5_errors_and_partial_results_are_seen_in_any_page() {
    for fields in [
        r#"{"error":"archive away"}"#,
        r#"{"error":{"code":7}}"#,
        r#"{"errors":[{"message":"shard 3"}]}"#,
        r#"{"error":true}"#,
        r#"{"error_code":"E17"}"#,
        r#"{"success":false}"#,
        r#"{"ok":false}"#,
        r#"{"Success":"false"}"#,
        r#"{"success":0}"#,
        r#"{"status":"error"}"#,
        r#"{"status":"FAILED"}"#,
        r#"{"status":"partial_success"}"#,
        r#"{"status":"timeout"}"#,
        r#"{"status":"processing"}"#,
        r#"{"status":500}"#,
        r#"{"status":"503 Service Unavailable"}"#,
        r#"{"status":206}"#,
        r#"{"status":{"code":504}}"#,
        r#"{"code":429}"#,
        r#"{"statusCode":"500"}"#,
        r#"{"timed_out":true}"#,
        r#"{"timedOut":true}"#,
        r#"{"timeout":true}"#,
        r#"{"partial":true}"#,
        r#"{"is_partial":1}"#,
        r#"{"incomplete_results":true}"#,
        r#"{"terminated_early":true}"#,
        r#"{"_shards":{"total":5,"successful":3,"failed":2}}"#,
        r#"{"_shards":{"total":5,"failed":0,"failures":[{"shard":1}]}}"#,
        r#"{"meta":{"partial":true}}"#,
        r#"{"meta":{"error":{"message":"x"}}}"#,
        r#"{"response":{"status":"error"}}"#,
    ] {
        for page in [LAST_AND_EMPTY, LAST, CONTINUED] {
            assert!(sign(fields, page).is_some(), "{fields}");
        }
    }
}

#[test]
fn invariant_5_signs_that_more_would_follow_count_where_nothing_follows() {
    for fields in [
        r#"{"has_more":true}"#,
        r#"{"hasNextPage":true}"#,
        r#"{"pageInfo":{"hasNextPage":true}}"#,
        r#"{"truncated":true}"#,
        r#"{"complete":false}"#,
        r#"{"message":"the query timed out"}"#,
        r#"{"warnings":["result truncated"]}"#,
    ] {
        assert!(sign(fields, LAST_AND_EMPTY).is_some(), "{fields}");
        assert!(sign(fields, LAST).is_some(), "{fields}");
        assert_eq!(sign(fields, CONTINUED), None, "{fields}");
    }
    let unknown = r#"{"status":"E1001"}"#;
    assert!(sign(unknown, LAST_AND_EMPTY).is_some());
    assert_eq!(sign(unknown, LAST), None);
}

#[test]
fn legitimate_fields_are_no_signs() {
    for fields in [
        r#"{"total":0,"count":0,"took":17,"page":1,"per_page":1000}"#,
        r#"{"error":null,"errors":[],"message":"ok"}"#,
        r#"{"error":"","errors":{},"error_code":0,"errorMessage":null}"#,
        r#"{"error":false,"message":"nothing in this range"}"#,
        r#"{"error":"none","failed":0,"failures":[]}"#,
        r#"{"error":{"code":0,"message":""}}"#,
        r#"{"success":true,"ok":1,"status":"ok","code":0}"#,
        r#"{"status":"success","code":200}"#,
        r#"{"status":"Complete","state":"eyJhIjoxfQ","result":250}"#,
        r#"{"status":"200 OK","result":"done"}"#,
        r#"{"status":{"code":200,"message":"OK"}}"#,
        r#"{"timed_out":false,"partial":false,"timeout":30,"incomplete":null}"#,
        r#"{"_shards":{"total":5,"successful":5,"skipped":0,"failed":0}}"#,
        r#"{"has_more":false,"truncated":false,"complete":true}"#,
        r#"{"message":"finished without errors","meta":{"total":3}}"#,
        r#"{"warnings":[],"info":null,"next":"https://example.com/?page=2"}"#,
    ] {
        for page in [LAST_AND_EMPTY, LAST, CONTINUED] {
            assert_eq!(sign(fields, page), None, "{fields}");
        }
    }
}

#[test]
fn the_sign_is_named() {
    let named = sign(r#"{"total":3,"timed_out":true}"#, LAST);
    assert_eq!(named.as_deref(), Some("`timed_out` is true"));
}
