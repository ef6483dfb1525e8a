//! The title of a page that changes while the page is open.

use leptos::prelude::*;
use leptos_meta::Title;

/// Sets the document's title to `text`, and follows it in the browser.
///
/// The server asks for the title once the page is rendered, on whichever thread goes on with the answer; there the signals of the page can no
/// longer be read. So it takes the text along at once.
#[component]
pub fn PageTitle(#[prop(into)] text: Signal<String>) -> impl IntoView {
    if cfg!(feature = "ssr") {
        view! { <Title text=text.get_untracked() /> }
    } else {
        view! { <Title text=move || text.get() /> }
    }
}
