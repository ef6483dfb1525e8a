use leptos::prelude::*;

use crate::components::editor_prefs::EditorPrefsCard;

#[component]
pub fn Editor() -> impl IntoView {
    view! { <EditorPrefsCard /> }
}
