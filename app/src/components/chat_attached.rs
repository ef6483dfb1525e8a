//! What went along with a message, one chip each.

use std::sync::Arc;

use leptos::prelude::*;
use wire::{
    RunId,
    chat::{Attachment, AttachmentKind},
};

use super::{
    ide::{ConsoleTab, use_ide},
    tree_model::file_icon,
};
use crate::ui::Icon;

/// An attachment without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Along {
    kind: AttachmentKind,
    path: String,
    checksum: Option<String>,
    /// What a run was.
    command: Option<String>,
}

impl Along {
    pub fn of(attachment: &Attachment) -> Self {
        let command = (attachment.kind == AttachmentKind::Run).then(|| {
            let line = attachment.content.lines().next().unwrap_or_default();
            line.strip_prefix("Command: ").unwrap_or(line).to_owned()
        });
        Self { kind: attachment.kind, path: attachment.path.clone(), checksum: attachment.checksum.clone(), command }
    }
}

#[component]
pub fn Attached(all: Arc<[Along]>) -> impl IntoView {
    if all.is_empty() {
        return ().into_any();
    }
    view! { <div class="chips">{all.iter().cloned().map(chip).collect_view()}</div> }.into_any()
}

fn chip(along: Along) -> AnyView {
    let ide = use_ide();
    let name = along.path.rsplit('/').next().unwrap_or(&along.path).to_owned();
    let open = move |path: String, line: Option<u32>| move |_| ide.open_file(&path, line);
    match along.kind {
        AttachmentKind::File => view! {
            <button type="button" class="chip" title=along.path.clone() on:click=open(along.path.clone(), None)>
                <Icon name=file_icon(&along.path) />
                {name}
            </button>
        }
        .into_any(),
        AttachmentKind::Selection => {
            let (path, line) = place_of(&along.path);
            view! {
                <button type="button" class="chip" title=along.path.clone() on:click=open(path, line)>
                    <Icon name="text-select" />
                    {name}
                </button>
            }
            .into_any()
        }
        AttachmentKind::Folder => view! {
            <span class="chip" title=along.path.clone()>
                <Icon name="folder" />
                {format!("{name}/")}
            </span>
        }
        .into_any(),
        AttachmentKind::Run => {
            let id = along.path.parse::<RunId>().ok();
            let show = move |_| {
                ide.selected_run.set(id);
                ide.show_console(ConsoleTab::Output);
            };
            view! {
                <button type="button" class="chip" title="Show the run" on:click=show>
                    <Icon name="square-terminal" />
                    <span class="clip">{along.command.unwrap_or_else(|| "Run".to_owned())}</span>
                </button>
            }
            .into_any()
        }
        AttachmentKind::Image => {
            let url = format!("/api/projects/{}/images/{}", ide.project_id, along.checksum.unwrap_or_default());
            view! {
                <a class="chip-shot" href=url.clone() target="_blank" rel="noreferrer" title=along.path.clone()>
                    <img src=url.clone() alt=format!("Picture {}", along.path) loading="lazy" />
                </a>
            }
            .into_any()
        }
    }
}

/// The path and the first line of `src/a.rs, lines 2 to 9`.
fn place_of(selection: &str) -> (String, Option<u32>) {
    match selection.rsplit_once(", line") {
        Some((path, rest)) => {
            let digits: String = rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
            (path.to_owned(), digits.parse().ok())
        }
        None => (selection.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_lead_to_their_first_line() {
        assert_eq!(place_of("src/a.rs, lines 12 to 19"), ("src/a.rs".to_owned(), Some(12)));
        assert_eq!(place_of("a, b.rs, line 7"), ("a, b.rs".to_owned(), Some(7)));
        assert_eq!(place_of("a.rs"), ("a.rs".to_owned(), None));
    }
}
