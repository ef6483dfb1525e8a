//! How the pages look, here or in all browsers.

use leptos::prelude::*;
use wire::preferences::{Density, Motion};

use super::{
    pref_rows::{ChoiceRow, NumberRow, SavingNote},
    preferences::use_preferences,
};
use crate::ui::{ThemeChoice, use_theme};

#[component]
pub fn AppearanceCard() -> impl IntoView {
    let prefs = use_preferences();
    let theme = use_theme();
    let look = Memo::new(move |_| prefs.look());
    let everywhere = Signal::derive(move || prefs.shown.with(|shown| shown.appearance.everywhere));
    view! {
        <section class="card" aria-labelledby="appearance-title">
            <div class="card-head">
                <h2 id="appearance-title">"Looks"</h2>
                <span class="grow"></span>
                <SavingNote />
            </div>
            <div class="prefs">
                <ChoiceRow
                    label="Where this applies"
                    hint="All browsers take the looks that this one has now."
                    options=vec![(false, "This browser"), (true, "All my browsers")]
                    value=everywhere
                    on_choose=move |all| prefs.set_everywhere(all, theme.get_untracked())
                />
                <div class="pref">
                    <span class="pref-what">
                        <b class="medium">"Theme"</b>
                        <span class="hint">"System follows your computer."</span>
                    </span>
                    <ThemeChoice />
                </div>
                <ChoiceRow
                    label="Motion"
                    hint="Reduced leaves out what moves by itself. System follows your computer."
                    options=vec![(Motion::System, "System"), (Motion::Reduced, "Reduced")]
                    value=Signal::derive(move || look.get().motion)
                    on_choose=move |motion| prefs.change_look(|look| look.motion = motion)
                />
                <ChoiceRow
                    label="Density"
                    hint="Compact makes rows and controls lower. On a phone everything stays large enough to touch."
                    options=vec![(Density::Comfortable, "Comfortable"), (Density::Compact, "Compact")]
                    value=Signal::derive(move || look.get().density)
                    on_choose=move |density| prefs.change_look(|look| look.density = density)
                />
                <NumberRow
                    label="Font size of the editor"
                    name="editor-font"
                    least=8
                    most=32
                    unit="pixels"
                    value=Signal::derive(move || look.get().editor_font_size)
                    on_change=move |size| prefs.change_look(|look| look.editor_font_size = size)
                />
                <NumberRow
                    label="Font size of terminals"
                    name="terminal-font"
                    least=8
                    most=32
                    unit="pixels"
                    value=Signal::derive(move || look.get().terminal_font_size)
                    on_change=move |size| prefs.change_look(|look| look.terminal_font_size = size)
                />
            </div>
        </section>
    }
    .into_any()
}
