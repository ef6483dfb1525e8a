//! A file as it is, read only and page by page, whatever its size: as text or in hexadecimal.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::Problem;

use crate::ui::{Button, ButtonSize, IconButton, PanelError, Skeleton, format};

/// Bytes of one page.
const PAGE: i64 = 64 * 1024;
const PER_LINE: usize = 16;

/// One page, as lines of position, bytes and letters.
fn hex_lines(bytes: &[u8], start: i64) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() * 5);
    for (i, line) in bytes.chunks(PER_LINE).enumerate() {
        let at = start + (i * PER_LINE) as i64;
        let _ = write!(out, "{at:08x}  ");
        for place in 0..PER_LINE {
            let _ = match line.get(place) {
                Some(byte) => write!(out, "{byte:02x} "),
                None => write!(out, "   "),
            };
            if place == PER_LINE / 2 - 1 {
                out.push(' ');
            }
        }
        out.push(' ');
        out.extend(line.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' }));
        out.push('\n');
    }
    out
}

/// One page as text. A letter that is cut in two by the page's edge is left out on both; what is no text shows as a mark.
fn text_of_page(bytes: &[u8], is_first: bool) -> String {
    let is_inner = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let skipped = if is_first { 0 } else { bytes.iter().take(3).take_while(|byte| is_inner(byte)).count() };
    let bytes = &bytes[skipped..];
    let end = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    // Other control characters could hide or move what stands around them.
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t' | '\r') { '·' } else { c };
    String::from_utf8_lossy(&bytes[..end]).chars().map(shown).collect()
}

/// A place in a file as people type it: decimal, or hexadecimal after 0x.
fn read_place(text: &str) -> Option<i64> {
    let text = text.trim();
    let place = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.replace(|c: char| c.is_whitespace() || c == '_', "").parse().ok(),
    };
    place.filter(|place| *place >= 0)
}

async fn fetch_page(url: &str, start: i64, size: i64) -> Result<Vec<u8>, String> {
    if size == 0 {
        return Ok(Vec::new());
    }
    let end = (start + PAGE).min(size) - 1;
    let lost = "The connection was lost. The file is safe; try again when the connection is back.";
    let request = gloo_net::http::Request::get(url).header("range", &format!("bytes={start}-{end}"));
    let response = request.send().await.map_err(|_| lost.to_owned())?;
    if response.status() != 206 && response.status() != 200 {
        let problem: Option<Problem> = response.json().await.ok();
        return Err(
            problem.map_or_else(|| format!("The server answered with status {}.", response.status()), |problem| problem.to_string())
        );
    }
    let mut bytes = response.binary().await.map_err(|_| lost.to_owned())?;
    // Whoever sends the whole instead of the part is small enough for it.
    if response.status() == 200 {
        bytes = bytes.into_iter().skip(start as usize).take(PAGE as usize).collect();
    }
    Ok(bytes)
}

/// The bytes of the file at `url`, which has `size` of them.
#[component]
pub fn BytesView(url: String, size: i64) -> impl IntoView {
    let url = StoredValue::new(url);
    let start = RwSignal::new(0_i64);
    let page = RwSignal::new(None::<Result<(i64, Vec<u8>), String>>);
    // `None` until the first page says which suits it.
    let hex = RwSignal::new(None::<bool>);
    let read = move |at: i64| {
        page.set(None);
        spawn_local(async move {
            let Some(url) = url.try_get_value() else { return };
            let answer = fetch_page(&url, at, size).await;
            if start.try_get_untracked() != Some(at) {
                return;
            }
            if let Ok(bytes) = &answer
                && hex.get_untracked().is_none()
            {
                hex.set(Some(
                    bytes.contains(&0) || std::str::from_utf8(&bytes[..bytes.len().min(4096)]).is_err_and(|e| e.error_len().is_some()),
                ));
            }
            page.set(Some(answer.map(|bytes| (at, bytes))));
        });
    };
    Effect::new(move |_| read(start.get()));
    let body = move || match page.get() {
        None => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="This part did not load" text=reason>
                    <Button on_click=move |_| read(start.get_untracked())>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
        Some(Ok((at, bytes))) => {
            let text = if hex.get() == Some(true) { hex_lines(&bytes, at) } else { text_of_page(&bytes, at == 0) };
            view! { <pre class="bytes scroll" tabindex="0" aria-label="Content of the file">{text}</pre> }.into_any()
        }
    };
    view! {
        <BytesBar start=start hex=hex size=size />
        {body}
    }
}

#[component]
fn BytesBar(start: RwSignal<i64>, hex: RwSignal<Option<bool>>, size: i64) -> impl IntoView {
    let last = (size - 1).max(0) / PAGE * PAGE;
    let go = move |to: i64| start.set((to / PAGE * PAGE).clamp(0, last));
    let radio = move |label: &'static str, value: bool| {
        view! {
            <button type="button" role="radio" aria-checked=move || if hex.get() == Some(value) { "true" } else { "false" } on:click=move |_| hex.set(Some(value))>
                {label}
            </button>
        }
    };
    let place = move || {
        let end = (start.get() + PAGE).min(size);
        format!("{} to {} of {}", format::count(start.get()), format::count(end), format::counted(size, "byte", "bytes"))
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" {
            event.prevent_default();
            if let Some(place) = read_place(&event_target_value(&event)) {
                go(place);
            }
        }
    };
    let has_pages = last > 0;
    let at_start = Signal::derive(move || start.get() == 0);
    let at_end = Signal::derive(move || start.get() >= last);
    view! {
        <div class="bytes-bar">
            <span class="seg" role="radiogroup" aria-label="How the content is shown">
                {radio("Text", false)} {radio("Hex", true)}
            </span>
            <span class="badge">"Read only"</span>
            <span class="num t2 fs12 grow clip" aria-live="polite">{place}</span>
            <Show when=move || has_pages>
                <input class="input input--s bytes-place" aria-label="Go to byte" placeholder="Go to byte" inputmode="numeric" on:keydown=on_key />
                <Button size=ButtonSize::Small disabled=at_start on_click=move |_| go(0)>"First"</Button>
                <IconButton icon="arrow-up" label="Page before" small=true disabled=at_start on_click=move |_| go(start.get_untracked() - PAGE) />
                <IconButton icon="arrow-down" label="Next page" small=true disabled=at_end on_click=move |_| go(start.get_untracked() + PAGE) />
                <Button size=ButtonSize::Small disabled=at_end on_click=move |_| go(last)>"Last"</Button>
            </Show>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_in_lines_with_their_place() {
        let lines = hex_lines(b"Hello, world\n\x00\xffabc", 0x10000);
        let mut lines = lines.lines();
        assert_eq!(lines.next(), Some("00010000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a 00 ff 61  Hello, world···a"));
        assert_eq!(lines.next(), Some("00010010  62 63                                             bc"));
    }

    #[test]
    fn letters_at_the_edge_of_a_page_are_whole_or_missing() {
        let text = "aä€b".as_bytes();
        assert_eq!(text_of_page(&text[..2], true), "a");
        assert_eq!(text_of_page(&text[2..], false), "€b");
        assert_eq!(text_of_page(&text[4..], false), "b");
        assert_eq!(text_of_page(b"a\x00\x1b[31m\xff", true), "a··[31m\u{fffd}");
    }

    #[test]
    fn places_are_read_in_both_ways() {
        assert_eq!(read_place(" 1 024 "), Some(1024));
        assert_eq!(read_place("0x10"), Some(16));
        assert_eq!(read_place("-1"), None);
        assert_eq!(read_place("x"), None);
    }
}
