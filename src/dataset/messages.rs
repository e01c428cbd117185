//! The dataset of messages between the chatbot and its users.

use super::Definition;
use super::column::{Column, Kind};

pub(super) const MESSAGES: Definition = Definition {
    name: "messages",
    endpoint: "/conversations/export/v1/messages",
    columns: &[
        Column {
            name: "id",
            field: "_id",
            kind: Kind::Id,
        },
        Column {
            name: "time",
            field: "time",
            kind: Kind::Time,
        },
        Column {
            name: "conversation_id",
            field: "conversationId",
            kind: Kind::Reference,
        },
        Column {
            name: "type",
            field: "type",
            kind: Kind::StrictLabel,
        },
        Column {
            name: "out_msg",
            field: "outMsg",
            kind: Kind::Text,
        },
        Column {
            name: "user_action_type",
            field: "userActionType",
            kind: Kind::StrictLabel,
        },
        Column {
            name: "user_input",
            field: "userInput",
            kind: Kind::Text,
        },
    ],
    id: 0,
    time: 1,
    version: None,
};
