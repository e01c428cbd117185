//! The dataset of conversations: one record each, which changes while the conversation continues.

use super::Definition;
use super::column::{Column, Kind};

pub(super) const CONVERSATIONS: Definition = Definition {
    name: "conversations",
    endpoint: "/conversations/export/v1/conversations",
    columns: &[
        Column {
            name: "id",
            field: "_id",
            kind: Kind::Id,
        },
        Column {
            name: "start_time",
            field: "startTime",
            kind: Kind::Time,
        },
        Column {
            name: "last_action_at",
            field: "lastActionAt",
            kind: Kind::Time,
        },
        Column {
            name: "locale",
            field: "locale",
            kind: Kind::Label,
        },
        Column {
            name: "tags",
            field: "tags",
            kind: Kind::TextList,
        },
        Column {
            name: "metadata",
            field: "metadata",
            kind: Kind::TextMap,
        },
    ],
    id: 0,
    time: 1,
    version: Some(2),
};
