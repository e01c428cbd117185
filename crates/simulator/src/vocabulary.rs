//! The words of the simulated conversations. All texts stand as they do between the quotes of JSON.

/// A browser, and what a parser makes of its name.
pub(super) struct Agent {
    pub(super) text: &'static str,
    pub(super) device: &'static str,
    pub(super) brand: &'static str,
    pub(super) os: &'static str,
    pub(super) os_major: &'static str,
    pub(super) browser: &'static str,
    pub(super) browser_major: &'static str,
    pub(super) is_mobile: bool,
}

const fn agent(
    text: &'static str,
    [device, brand]: [&'static str; 2],
    [os, os_major]: [&'static str; 2],
    [browser, browser_major]: [&'static str; 2],
    is_mobile: bool,
) -> Agent {
    Agent {
        text,
        device,
        brand,
        os,
        os_major,
        browser,
        browser_major,
        is_mobile,
    }
}

pub(super) const AGENTS: &[&Agent] = &[
    &agent(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36",
        ["Other", "Generic"],
        ["Windows", "10"],
        ["Chrome", "117"],
        false,
    ),
    &agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        ["iPhone", "Apple"],
        ["iOS", "16"],
        ["Mobile Safari", "16"],
        true,
    ),
    &agent(
        "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Mobile Safari/537.36",
        ["Pixel 7", "Google"],
        ["Android", "13"],
        ["Chrome Mobile", "117"],
        true,
    ),
    &agent(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Safari/605.1.15",
        ["Mac", "Apple"],
        ["Mac OS X", "10"],
        ["Safari", "16"],
        false,
    ),
    &agent(
        "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0",
        ["Other", "Generic"],
        ["Linux", ""],
        ["Firefox", "118"],
        false,
    ),
];

/// As often as they stand here.
pub(super) const LOCALES: &[&str] = &[
    "en_us", "en_us", "en_us", "en_us", "en_us", "es_mx", "es_mx", "de_de", "ja_jp", "pt_br", "fr_ca",
];

/// Whole lists, as often as they stand here.
pub(super) const TAGS: &[&str] = &[
    r#""resolved""#,
    r#""resolved","informed""#,
    r#""informed""#,
    r#""informed""#,
    r#""liveChat","agentHandover""#,
    r#""agentHandover""#,
    r#""resolved","confirmedResolution""#,
    "",
];

pub(super) const COUNTRIES: &[&str] = &["US", "US", "US", "MX", "DE", "JP", "BR", "CA"];
/// The networks that are set aside for documentation.
pub(super) const NETWORKS: &[&str] = &["192.0.2.", "198.51.100.", "203.0.113."];
pub(super) const CHANNELS: &[&str] = &["web", "web", "web", "whatsapp", "facebook", "email"];
pub(super) const HOSTS: &[&str] = &["shop.example.com", "help.example.com", "www.example.org"];
pub(super) const PATHS: &[&str] = &[
    "/",
    "/orders",
    "/help/returns",
    "/checkout",
    "/products/blue-kettle",
    "/faq",
];
pub(super) const REFERRERS: &[&str] = &[
    "",
    "https://www.example.com/search?q=order+status",
    "https://news.example.net/",
    "https://help.example.com/",
];
pub(super) const INTENTS: &[&str] = &[
    "order_status",
    "return_item",
    "cancel_order",
    "shipping_cost",
    "talk_to_agent",
    "reset_password",
];

/// What people say; some with escapes, some not Latin.
pub(super) const SAID: &[&str] = &[
    "Where is my order?",
    "I want to return a kettle",
    "It says \\\"delivered\\\", but nothing came",
    "My order is late.\\nCan you check?",
    "¿Dónde está mi pedido?",
    "Wo ist meine Bestellung? Gr\\u00fc\\u00dfe",
    "注文はどこですか",
    "thanks \\ud83d\\ude00",
    "Quero falar com um atendente",
    "C:\\\\orders\\\\4711.pdf",
];

/// What the chatbot answers.
pub(super) const ANSWERED: &[&str] = &[
    "Hello! How can I help you today?",
    "Your order is on its way and should arrive within two days.",
    "You can return an item within 30 days. Would you like a label?",
    "I did not quite get that. Could you say it in other words?",
    "<p>See our <a href=\\\"https://help.example.com/returns\\\">help page</a>.</p>",
    "配達予定日は明日です。",
    "Let me connect you with an agent.",
];

/// A title and what choosing it sends.
pub(super) const REPLIES: &[&(&str, &str)] = &[
    &("Yes", "yes"),
    &("No, thanks", "no"),
    &("Track my order", "order_status"),
    &("はい", "yes_ja"),
];

pub(super) const CITIES: &[&str] = &["Springfield", "Guadalajara", "Köln", "東京", "São Paulo"];
pub(super) const PLANS: &[&str] = &["basic", "plus", "enterprise"];
