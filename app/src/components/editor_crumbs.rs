//! Where the file on top of a group is.

use leptos::prelude::*;

use super::outline::SymbolCrumb;
use crate::ui::Icon;

/// The directories above the file, its name, and the symbol that the cursor is in.
#[component]
pub fn Crumbs(path: Memo<Option<String>>) -> impl IntoView {
    move || {
        let of = path.get()?;
        let parts: Vec<String> = of.split('/').map(str::to_owned).collect();
        let last = parts.len() - 1;
        let parts = parts.into_iter().enumerate().map(|(i, part)| {
            if i == last {
                view! { <b>{part}</b> }.into_any()
            } else {
                view! {
                    <span>{part}</span>
                    <Icon name="chevron-right" />
                }
                .into_any()
            }
        });
        Some(view! { <div class="crumbs">{parts.collect_view()} <SymbolCrumb path=path /></div> })
    }
}
