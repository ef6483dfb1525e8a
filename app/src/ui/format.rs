//! Numbers, sizes and times as people read them.

use leptos::prelude::*;
use wire::Micros;

/// Narrow space between groups of thousands, at which no line ends.
const THIN: char = '\u{202f}';

/// `1880` as `1 880`.
pub fn count(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    if value < 0 {
        text.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// `count` and the word that goes with it: `1 file`, `3 files`.
pub fn counted(value: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// Bytes in decimal units: `212 kB`, `4.1 MB`.
pub fn bytes(value: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if value < 1000 {
        return counted(value, "byte", "bytes");
    }
    let mut size = value as f64 / 1000.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if size < 9.95 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// Micro-US-dollars as `$1.24`; what is there but rounds to nothing as `under $0.01`.
pub fn money(micros: i64) -> String {
    if (1..5_000).contains(&micros) {
        return "under $0.01".to_owned();
    }
    let cents = (micros.unsigned_abs() + 5_000) / 10_000;
    let sign = if micros < 0 { "−" } else { "" };
    format!("{sign}${}.{:02}", count(i64::try_from(cents / 100).unwrap_or(i64::MAX)), cents % 100)
}

/// Milliseconds as `42 ms`, `1.24 s`, `4:05`, `1:02:09`.
pub fn duration_ms(value: i64) -> String {
    let seconds = value / 1000;
    match value {
        ..1000 => format!("{value} ms"),
        1000..10_000 => format!("{:.2} s", value as f64 / 1000.0),
        10_000..60_000 => format!("{:.1} s", value as f64 / 1000.0),
        60_000..3_600_000 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// The clock of this side: the server's while rendering, the browser's afterwards.
pub fn now() -> Micros {
    #[cfg(target_arch = "wasm32")]
    {
        Micros((js_sys::Date::now() * 1000.0) as i64)
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// `now`, `3 min ago`, `2 h ago`, `yesterday`, `3 days ago`, then the date.
pub fn relative(at: Micros, now: Micros) -> String {
    let minutes = now.millis_since(at) / 60_000;
    match minutes {
        0 => "now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..2880 => "yesterday".to_owned(),
        2880..10_080 => format!("{} days ago", minutes / 1440),
        _ => at.to_rfc3339().chars().take(10).collect(),
    }
}

/// The day as `2026-11-22` and the time as `14:05`, on the person's own clock.
fn local(at: Micros) -> (String, String) {
    #[cfg(target_arch = "wasm32")]
    {
        let date = js_sys::Date::new(&leptos::wasm_bindgen::JsValue::from_f64(at.0 as f64 / 1000.0));
        let day = format!("{:04}-{:02}-{:02}", date.get_full_year(), date.get_month() + 1, date.get_date());
        (day, format!("{:02}:{:02}", date.get_hours(), date.get_minutes()))
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let text = at.to_rfc3339();
        (text.get(..10).unwrap_or_default().to_owned(), text.get(11..16).unwrap_or_default().to_owned())
    }
}

/// `14:05`.
pub fn clock(at: Micros) -> String {
    local(at).1
}

/// Tells times on the person's own clock. What the server renders can't know it and says UTC until the page is alive.
#[derive(Clone, Copy)]
pub struct Clock(RwSignal<bool>);

pub fn use_clock() -> Clock {
    let alive = RwSignal::new(false);
    Effect::new(move |_| alive.set(true));
    Clock(alive)
}

impl Clock {
    /// `14:05`, or `13:05 UTC`. Reactive.
    pub fn tell(self, at: Micros) -> String {
        if self.0.get() { clock(at) } else { format!("{} UTC", at.to_rfc3339().get(11..16).unwrap_or_default()) }
    }
}

/// `Today`, `Yesterday`, or the date.
pub fn day(at: Micros, now: Micros) -> String {
    let day = local(at).0;
    if day == local(now).0 {
        "Today".to_owned()
    } else if day == local(now.plus_seconds(-86_400)).0 {
        "Yesterday".to_owned()
    } else {
        day
    }
}

/// A time relative to now, exact on hover.
#[component]
pub fn RelativeTime(at: Micros, #[prop(default = "t3 nowrap")] class: &'static str) -> impl IntoView {
    let exact = at.to_rfc3339();
    let title = format!("{} {} UTC", exact.get(..10).unwrap_or_default(), exact.get(11..19).unwrap_or_default());
    view! { <time class=class datetime=exact title=title>{relative(at, now())}</time> }.into_any()
}

/// The first letters of up to two words, for the disc that stands for a person.
pub fn initials(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    let first = words.next();
    let last = words.next_back();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_two_decimals() {
        let shown = [0, 1, 4_999, 5_000, 1_238_000, 1_995_000, 1_234_560_000, -20_000].map(money);
        assert_eq!(shown, ["$0.00", "under $0.01", "under $0.01", "$0.01", "$1.24", "$2.00", "$1\u{202f}234.56", "−$0.02"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1880), "1\u{202f}880");
        assert_eq!(count(-1_234_567), "−1\u{202f}234\u{202f}567");
    }

    #[test]
    fn sizes_keep_two_digits() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(4100), "4.1 kB");
        assert_eq!(bytes(212_400), "212 kB");
        assert_eq!(bytes(999_600), "1.0 MB");
    }

    #[test]
    fn times_become_coarser() {
        let at = Micros(1_795_294_511_000_000);
        assert_eq!(relative(at, at), "now");
        assert_eq!(relative(at, at.plus_seconds(200)), "3 min ago");
        assert_eq!(relative(at, at.plus_seconds(2 * 86_400)), "2 days ago");
        assert_eq!(relative(at, at.plus_seconds(30 * 86_400)), "2026-11-21");
    }

    #[test]
    fn days_are_named_while_they_are_near() {
        let now = Micros(1_795_294_511_000_000);
        assert_eq!(clock(now), "20:55");
        assert_eq!(day(now.plus_seconds(-3600), now), "Today");
        assert_eq!(day(now.plus_seconds(-86_400), now), "Yesterday");
        assert_eq!(day(now.plus_seconds(-3 * 86_400), now), "2026-11-18");
    }

    #[test]
    fn initials_take_first_and_last_word() {
        assert_eq!(initials("Mara Lindqvist"), "ML");
        assert_eq!(initials("priya"), "P");
        assert_eq!(initials("Ana María Castellanos"), "AC");
    }
}
