//! Records as JSON text, made from nothing but the seed, the bot and the record's number.

use super::bot::{Bot, View};
use super::choices::{Endpoint, TimeFormat};
use super::random::Random;
use super::text::Text;
use super::vocabulary as words;

/// Appends a record as `view` shows it.
pub(super) fn record(
    out: &mut Text,
    bot: &Bot,
    endpoint: Endpoint,
    index: u32,
    view: View,
    times: TimeFormat,
) {
    if let Some(raw) = bot.injected(endpoint, index) {
        out.raw(raw);
        return;
    }
    match endpoint {
        Endpoint::Conversations => conversation(out, bot, index, view, times),
        Endpoint::Messages => message(out, bot, index, times),
    }
}

/// The `_id` of a record as text; empty for an injected one that has no string or number there.
pub(super) fn id_text(bot: &Bot, endpoint: Endpoint, index: u32) -> String {
    use serde_json::Value;
    match bot.injected(endpoint, index).map(serde_json::from_str::<Value>) {
        None => {
            let mut text = Text(Vec::with_capacity(24));
            text.id(bot.id(endpoint, index));
            String::from_utf8(text.0).unwrap_or_default()
        }
        Some(Ok(value)) => match &value["_id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        },
        Some(Err(_)) => String::new(),
    }
}

fn conversation(out: &mut Text, bot: &Bot, index: u32, view: View, format: TimeFormat) {
    let random = &mut Random::new(bot.seed ^ 5, u64::from(index));
    let times = bot.times(Endpoint::Conversations, index, view);
    let early = bot.is_early(index, view);
    let id = bot.id(Endpoint::Conversations, index);
    out.raw(r#"{"_id":""#).id(id);
    out.raw(r#"","startTime":"#).time(format, times.time);
    out.raw(r#","lastActionAt":"#)
        .time(format, times.last_action.unwrap_or(times.time));
    out.raw(r#","locale":"#).quoted(random.pick(words::LOCALES));
    let tags = random.pick(words::TAGS);
    out.raw(r#","tags":["#).raw(if early { "" } else { tags });
    out.raw(r#"],"metadata":{"__sys_conversationId":""#)
        .id(id)
        .raw("\"");
    set_by_system(out, random);
    if !early {
        set_by_customer(out, random);
    }
    out.raw("}}");
}

fn set_by_system(out: &mut Text, random: &mut Random) {
    let agent = random.pick(words::AGENTS);
    out.raw(r#","__sys_userIp":""#)
        .raw(random.pick(words::NETWORKS))
        .int(random.small(254) + 1);
    out.raw(r#"","__sys_userAgent":"#).quoted(agent.text);
    out.raw(r#","__sys_userAgentParsed":{"device":{"family":"#)
        .quoted(agent.device);
    out.raw(r#","brand":"#).quoted(agent.brand);
    out.raw(r#"},"os":{"family":"#)
        .quoted(agent.os)
        .raw(r#","major":"#)
        .quoted(agent.os_major);
    out.raw(r#"},"user_agent":{"family":"#).quoted(agent.browser);
    out.raw(r#","major":"#).quoted(agent.browser_major);
    out.raw(r#"}},"__sys_userCountry":"#)
        .quoted(random.pick(words::COUNTRIES));
    out.raw(r#","__sys_userAction":{"type":"text","text":"#)
        .quoted(random.pick(words::SAID));
    out.raw(r#"},"__sys_channel":"#)
        .quoted(random.pick(words::CHANNELS));
    out.raw(r#","__sys_activeIntent":"#)
        .quoted(random.pick(words::INTENTS));
    out.raw(r#","browser_path":"#).quoted(random.pick(words::PATHS));
    out.raw(r#","browser_hostname":"#)
        .quoted(random.pick(words::HOSTS));
    out.raw(r#","browser_referrer":"#)
        .quoted(random.pick(words::REFERRERS));
    out.raw(r#","browser_isMobile":"#)
        .raw(if agent.is_mobile { "true" } else { "false" });
}

/// Keys of every JSON type; the rarer ones are what trips a reader.
fn set_by_customer(out: &mut Text, random: &mut Random) {
    out.raw(r#","orderId":"A-"#).int(random.small(900_000) + 100_000);
    out.raw(r#"","cartValue":"#)
        .int(random.small(500))
        .raw(".")
        .digits(random.below(100), 2);
    out.raw(r#","isMember":"#)
        .raw(random.pick(&["true", "false", "null"]));
    out.raw(r#","plan":"#).quoted(random.pick(words::PLANS));
    if random.one_in(2) {
        out.raw(r#","csatScore":"#).int(random.small(5) + 1);
    }
    if random.one_in(3) {
        out.raw(r#","visited":["#)
            .quoted(random.pick(words::PATHS))
            .raw(",")
            .int(random.small(9))
            .raw(",null]");
    }
    if random.one_in(3) {
        out.raw(r#","address":{"city":"#)
            .quoted(random.pick(words::CITIES));
        out.raw(r#","geo":{"lat":-"#)
            .int(random.small(90))
            .raw(r#".25,"lon":1.5e1}}"#);
    }
    if random.one_in(4) {
        out.raw(r#","客户等级":"#)
            .quoted(random.pick(&["黄金", "白银", "普通"]));
    }
    if random.one_in(4) {
        out.raw(r#","utm.source":"#)
            .quoted(random.pick(&["newsletter", "search", ""]));
    }
    if random.one_in(10) {
        out.raw(r#","loyaltyNumber":123456789012345678"#)
            .digits(random.below(1_000_000_000), 12);
    }
    if random.one_in(20) {
        out.raw(r#","balance":"#)
            .raw(random.pick(&["-0.0", "1e300", "2.50E-7", "1.0000000000000001"]));
    }
    if random.one_in(50) {
        out.raw(r#","":"a key without a name""#);
    }
    if random.one_in(50) {
        out.raw(r#","cart":{},"notes":[],"line\nbreak":"\ttab""#);
    }
}

fn message(out: &mut Text, bot: &Bot, index: u32, format: TimeFormat) {
    let random = &mut Random::new(bot.seed ^ 6, u64::from(index));
    let (conversation, nth) = bot.conversation_of(index).unwrap_or_default();
    let time = bot.final_times(Endpoint::Messages, index).time;
    out.raw(r#"{"_id":""#).id(bot.id(Endpoint::Messages, index));
    out.raw(r#"","time":"#).time(format, time);
    out.raw(r#","conversationId":""#)
        .id(bot.id(Endpoint::Conversations, conversation));
    // The chatbot greets, then the two take turns; now and then a person joins.
    if nth % 2 == 1 {
        user_input(out, random);
    } else {
        let kind = if random.one_in(12) {
            "AgentMessage"
        } else {
            "BotMessage"
        };
        out.raw(r#"","type":"#).quoted(kind);
        out_msg(out, random);
    }
    out.raw("}");
}

fn user_input(out: &mut Text, random: &mut Random) {
    out.raw(r#"","type":"UserInput","userActionType":"#);
    match random.small(8) {
        0 => {
            out.raw(r#""form","userInput":{"type":"form","fields":{"email":"user"#)
                .int(random.small(10_000));
            out.raw(r#"@example.com","rating":"#).int(random.small(5) + 1);
            out.raw(r#","city":"#)
                .quoted(random.pick(words::CITIES))
                .raw(r#","newsletter":false}}"#);
        }
        1 | 2 => {
            let (title, payload) = random.pick(words::REPLIES);
            out.raw(r#""quickReply","userInput":{"type":"quickReply","title":"#)
                .quoted(title);
            out.raw(r#","payload":"#).quoted(payload).raw("}");
        }
        _ => {
            out.raw(r#""text","userInput":"#).quoted(random.pick(words::SAID));
        }
    }
}

fn out_msg(out: &mut Text, random: &mut Random) {
    out.raw(r#","outMsg":{"type":"text","text":"#)
        .quoted(random.pick(words::ANSWERED));
    if random.one_in(3) {
        out.raw(r#","quickReplies":["#);
        for nth in 0..=random.small(2) {
            let (title, payload) = random.pick(words::REPLIES);
            out.raw(if nth == 0 { "" } else { "," });
            out.raw(r#"{"title":"#)
                .quoted(title)
                .raw(r#","payload":"#)
                .quoted(payload)
                .raw("}");
        }
        out.raw("]");
    }
    out.raw(r#","confidence":0."#)
        .digits(random.below(1000), 3)
        .raw("}");
}
