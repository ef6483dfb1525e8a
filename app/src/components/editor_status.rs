//! What the status bar says of the file on top: cursor, line ends, encoding, language, and whether it saves by itself.

use leptos::{ev, prelude::*};
use wire::files::TextFormat;

use crate::{
    components::{
        autosave::{self, Autosave},
        commands::Command,
        documents,
        ide::{Ide, Tab, TabBody},
        text_lines::{LineEnd, LineEnds},
        tree_model::file_icon,
    },
    ui::{Icon, Menu, MenuItem, MenuState, format, menu::open_from},
};

/// Encodings that can be chosen: label, with a byte order mark, name.
const ENCODINGS: [(&str, bool, &str); 13] = [
    ("utf-8", false, "UTF-8"),
    ("utf-8", true, "UTF-8 with BOM"),
    ("utf-16le", true, "UTF-16 LE"),
    ("utf-16be", true, "UTF-16 BE"),
    ("windows-1252", false, "Western (Windows 1252)"),
    ("iso-8859-15", false, "Western (ISO 8859-15)"),
    ("windows-1250", false, "Central European (Windows 1250)"),
    ("windows-1251", false, "Cyrillic (Windows 1251)"),
    ("koi8-r", false, "Cyrillic (KOI8-R)"),
    ("shift_jis", false, "Japanese (Shift JIS)"),
    ("gb18030", false, "Chinese (GB 18030)"),
    ("big5", false, "Chinese (Big5)"),
    ("euc-kr", false, "Korean (EUC-KR)"),
];

/// What an encoding is called; its label in capitals where it is not one of those that can be chosen.
fn encoding_name(format: &TextFormat) -> String {
    let known = ENCODINGS.iter().find(|(label, bom, _)| *label == format.encoding && *bom == format.bom);
    known.map_or_else(
        || format!("{}{}", format.encoding.to_uppercase(), if format.bom { " with BOM" } else { "" }),
        |(_, _, name)| (*name).to_owned(),
    )
}

/// Names that differ from the editor's grammar, or that it has none for.
fn language_name(name: &str, language: &str) -> String {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
    let known = match ending.as_str() {
        "toml" => "TOML",
        "csv" => "CSV",
        "jsx" => "JavaScript",
        "tsx" => "TypeScript",
        "svg" => "XML",
        "txt" => "Plain text",
        _ => language,
    };
    known.to_owned()
}

/// What is shown of one text.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    path: String,
    ends: LineEnds,
    fresh: Option<LineEnd>,
    encoding: String,
    language: String,
    light: bool,
    read_only: Option<String>,
}

fn facts_of(ide: Ide) -> Option<Facts> {
    let path = ide.active.get()?;
    let tab = ide.tabs.with(|tabs| tabs.iter().find(|tab| tab.path == path && matches!(tab.body, TabBody::Text { .. })).cloned())?;
    Some(Facts {
        ends: tab.line_ends(),
        fresh: tab.fresh_end(),
        encoding: encoding_name(&tab.format),
        language: language_name(tab.name(), &tab.language),
        light: tab.is_light(),
        read_only: documents::read_only_reason(ide, &tab),
        path,
    })
}

fn change(ide: Ide, path: &str, change: impl FnOnce(&mut Tab)) {
    ide.update_tab(path, |tab| {
        change(tab);
        tab.settle();
    });
}

/// The part of the status bar that belongs to the file on top.
#[component]
pub fn EditorStatus(ide: Ide) -> impl IntoView {
    let facts = Memo::new(move |_| facts_of(ide));
    let cursor = move || {
        let cursor = ide.cursor.get().filter(|_| facts.with(Option::is_some))?;
        let selected =
            if cursor.selected > 0 { format!(" ({} selected)", format::count(i64::from(cursor.selected))) } else { String::new() };
        Some(view! {
            <button type="button" class="stat wide" title=ide.keymap.with(|keymap| Command::GoToLine.hint("Go to a line", keymap)) on:click=move |_| ide.editor_action.set(Some("editor.action.gotoLine"))>
                {format!("Line {}, column {}{selected}", cursor.line, cursor.column)}
            </button>
        })
    };
    view! {
        {cursor}
        {move || facts.get().map(|facts| view! { <FileFacts ide=ide facts=facts /> })}
        <AutosaveChoice ide=ide />
    }
}

#[component]
fn FileFacts(ide: Ide, facts: Facts) -> impl IntoView {
    let Facts { path, ends, fresh, encoding, language, light, read_only } = facts;
    let icon = file_icon(path.rsplit('/').next().unwrap_or(&path));
    let locked = read_only.is_some();
    view! {
        {read_only
            .map(|reason| {
                view! {
                    <span class="c-warn" title=reason>
                        <Icon name="eye" />
                        "Read-only"
                    </span>
                }
            })}
        {light
            .then(|| {
                view! {
                    <span class="wide" title="Large file: without colours, folding and suggestions">
                        "Light"
                    </span>
                }
            })}
        <LineEndChoice ide=ide path=path.clone() ends=ends fresh=fresh locked=locked />
        <EncodingChoice ide=ide path=path encoding=encoding locked=locked />
        {(!language.is_empty())
            .then(|| {
                view! {
                    <span class="wide">
                        <Icon name=icon />
                        {language}
                    </span>
                }
            })}
    }
}

/// A word of the status bar with a menu.
#[component]
fn StatusMenu(label: &'static str, #[prop(into)] text: String, locked: bool, children: ChildrenFn) -> impl IntoView {
    let state = MenuState::new();
    let name = format!("{label}: {text}");
    view! {
        <button
            type="button"
            class="stat wide"
            title=label
            aria-haspopup="menu"
            aria-label=name
            disabled=locked
            on:click=move |event: ev::MouseEvent| open_from(state, &event)
        >
            {text}
        </button>
        <Menu state=state label=label children=children />
    }
}

#[component]
fn LineEndChoice(ide: Ide, path: String, ends: LineEnds, fresh: Option<LineEnd>, locked: bool) -> impl IntoView {
    let text = match ends {
        LineEnds::All(end) => end.label(),
        LineEnds::Mixed => "Mixed line ends",
        LineEnds::None => fresh.unwrap_or(LineEnd::Lf).label(),
    };
    let path = StoredValue::new(path);
    view! {
        <StatusMenu label="Line ends" text=text locked=locked>
            {[LineEnd::Lf, LineEnd::CrLf]
                .into_iter()
                .map(|end| {
                    let name = if end == LineEnd::Lf { "LF, as on Linux and macOS" } else { "CRLF, as on Windows" };
                    view! {
                        <MenuItem
                            icon=if ends == LineEnds::All(end) { "check" } else { "" }
                            on_choose=move || change(ide, &path.get_value(), |tab| tab.line_end = Some(end))
                        >
                            {name}
                        </MenuItem>
                    }
                })
                .collect_view()}
        </StatusMenu>
    }
}

#[component]
fn EncodingChoice(ide: Ide, path: String, encoding: String, locked: bool) -> impl IntoView {
    let path = StoredValue::new(path);
    let now = StoredValue::new(encoding.clone());
    view! {
        <StatusMenu label="Encoding" text=encoding locked=locked>
            {ENCODINGS
                .into_iter()
                .map(|(label, bom, name)| {
                    view! {
                        <MenuItem
                            icon=if now.with_value(|now| now == name) { "check" } else { "" }
                            on_choose=move || {
                                change(ide, &path.get_value(), |tab| tab.format = TextFormat { encoding: label.to_owned(), bom });
                            }
                        >
                            {name}
                        </MenuItem>
                    }
                })
                .collect_view()}
        </StatusMenu>
    }
}

#[component]
fn AutosaveChoice(ide: Ide) -> impl IntoView {
    let state = MenuState::new();
    let text = move || ide.autosave.get().short();
    view! {
        <button
            type="button"
            class="stat wide"
            title="Saving without being asked"
            aria-haspopup="menu"
            on:click=move |event: ev::MouseEvent| open_from(state, &event)
        >
            {text}
        </button>
        <Menu state=state label="Autosave">
            {Autosave::ALL
                .into_iter()
                .map(|mode| {
                    let icon = if ide.autosave.get_untracked() == mode { "check" } else { "" };
                    view! {
                        <MenuItem icon=icon on_choose=move || autosave::choose(ide, mode)>
                            {mode.label()}
                        </MenuItem>
                    }
                })
                .collect_view()}
        </Menu>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_named() {
        let name = |encoding: &str, bom| encoding_name(&TextFormat { encoding: encoding.to_owned(), bom });
        assert_eq!(name("utf-8", false), "UTF-8");
        assert_eq!(name("utf-8", true), "UTF-8 with BOM");
        assert_eq!(name("windows-1251", false), "Cyrillic (Windows 1251)");
        assert_eq!(name("iso-2022-jp", false), "ISO-2022-JP");
    }

    #[test]
    fn languages_are_called_as_people_do() {
        assert_eq!(language_name("Cargo.toml", "Ini"), "TOML");
        assert_eq!(language_name("run", "Shell"), "Shell");
    }
}
