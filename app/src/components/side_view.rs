//! What the side area shows. Each view keeps its state while another one is shown.

use leptos::prelude::*;

use super::{
    commands::{is_narrow, toggle_side},
    ide::{Ide, PhonePane},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SideView {
    #[default]
    Files,
    Search,
}

impl SideView {
    pub fn label(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Search => "Search",
        }
    }
}

/// Opens the side area with a view.
pub fn show(ide: Ide, view: SideView) {
    ide.close_review();
    ide.side_view.set(view);
    if !is_seen(ide) {
        toggle_side(ide);
    }
    ide.phone_pane.set(PhonePane::Files);
    ide.phone_editor.set(false);
}

/// Shows a view, or closes the side area when it shows that view already.
pub fn toggle(ide: Ide, view: SideView) {
    if ide.review.get_untracked().is_none() && ide.side_view.get_untracked() == view && is_seen(ide) {
        toggle_side(ide);
    } else {
        show(ide, view);
    }
}

fn is_seen(ide: Ide) -> bool {
    if is_narrow() && ide.chat_open.get_untracked() { ide.drawer.get_untracked() } else { ide.side_open.get_untracked() }
}
