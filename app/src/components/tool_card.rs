//! A tool call as a folded row: state, name, main argument, result.

use leptos::prelude::*;
use serde_json::Value;

use super::{
    chat_state::{Tool, ToolState},
    ide::use_ide,
    plan_card::{self, PlanCard},
};
use crate::ui::{Icon, format};

/// Lines shown before "Show all".
const FOLD_LINES: usize = 12;

/// What a person needs to see of a call's arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// One line for the row: the path, command or query.
    pub main: String,
    /// The rest, such as the text written; empty when the main argument says all.
    pub detail: String,
}

/// Reads the JSON that the model wrote. What can't be read is shown as it is.
pub fn read_arguments(name: &str, json: &str) -> Arguments {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(json) else {
        return Arguments { main: one_line(json), detail: String::new() };
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    match name {
        "move_file" => Arguments { main: format!("{} → {}", text("from"), text("to")), detail: String::new() },
        "write_file" => Arguments { main: text("path").to_owned(), detail: text("content").to_owned() },
        "edit_file" => Arguments { main: text("path").to_owned(), detail: marked(text("old_text"), '-') + &marked(text("new_text"), '+') },
        "run_command" => {
            let command = text("command");
            let mut detail = if command.contains('\n') { format!("{}\n", command.trim_end()) } else { String::new() };
            if !matches!(text("cwd"), "" | ".") {
                detail.push_str(&format!("in {}\n", text("cwd")));
            }
            if let Some(seconds) = fields.get("timeout_s").and_then(Value::as_i64) {
                detail.push_str(&format!("at most {seconds} s\n"));
            }
            Arguments { main: one_line(command), detail }
        }
        "read_file" => {
            let line = |key: &str| fields.get(key).and_then(Value::as_i64);
            let range = match (line("start_line"), line("end_line")) {
                (Some(from), Some(to)) => format!(", lines {from}–{to}"),
                (Some(from), None) => format!(", from line {from}"),
                _ => String::new(),
            };
            Arguments { main: format!("{}{range}", text("path")), detail: String::new() }
        }
        "web_fetch" => Arguments { main: one_line(text("url")), detail: String::new() },
        "propose_plan" => {
            let count = i64::try_from(plan_card::steps(json).len()).unwrap_or(i64::MAX);
            Arguments { main: format::counted(count, "step", "steps"), detail: String::new() }
        }
        "ask_user" => {
            let options = fields.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let detail = options.iter().filter_map(Value::as_str).map(|option| format!("• {option}\n")).collect();
            Arguments { main: one_line(text("question")), detail }
        }
        _ => {
            let main = ["path", "query", "filter", "question", "url"].iter().map(|key| text(key)).find(|value| !value.is_empty());
            let first = || fields.values().find_map(Value::as_str).unwrap_or_default();
            // What the row leaves out is told below it, whatever the tool.
            let detail = if fields.len() > 1 { serde_json::to_string_pretty(&fields).unwrap_or_default() } else { String::new() };
            Arguments { main: one_line(main.unwrap_or_else(first)), detail }
        }
    }
}

fn marked(text: &str, sign: char) -> String {
    text.lines().map(|line| format!("{sign} {line}\n")).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the call changes the agent's branch.
fn writes(name: &str) -> bool {
    matches!(name, "write_file" | "edit_file" | "move_file" | "delete_file")
}

fn state_icon(tool: &Tool) -> (&'static str, &'static str, &'static str) {
    match tool.state {
        ToolState::Running => ("loader-circle", "spin", "running"),
        ToolState::Waiting => ("hand", "", "waits for you"),
        ToolState::Declined => ("circle-minus", "", "declined"),
        ToolState::Interrupted => ("square", "", "not finished"),
        ToolState::Failed => ("x", "no", "failed"),
        ToolState::Done if writes(&tool.name) => ("git-pull-request-arrow", "ag", "on the branch"),
        ToolState::Done => ("check", "ok", "done"),
    }
}

/// The result in a few characters: the time it took, or the state in a word.
fn result_word(tool: &Tool) -> String {
    let took = tool.took_ms.map(format::duration_ms);
    match tool.state {
        ToolState::Waiting | ToolState::Declined | ToolState::Interrupted | ToolState::Running => state_icon(tool).2.to_owned(),
        ToolState::Failed => took.map_or_else(|| "failed".to_owned(), |took| format!("failed, {took}")),
        ToolState::Done => took.unwrap_or_default(),
    }
}

/// The calls of one step.
#[component]
pub fn ToolCards(
    #[prop(into)] tools: Signal<Vec<Tool>>,
    /// Nothing came after the turn they belong to.
    #[prop(into)]
    is_last: Signal<bool>,
) -> impl IntoView {
    view! {
        <div class="tools">
            <For each=move || tools.with(|tools| tools.iter().map(|tool| tool.call_id.clone()).collect::<Vec<_>>()) key=String::clone let:id>
                {
                    let tool = Memo::new(move |_| tools.with(|tools| tools.iter().find(|tool| tool.call_id == id).cloned()));
                    let is_plan = tool.with_untracked(|tool| tool.as_ref().is_some_and(|tool| tool.name == "propose_plan"));
                    if is_plan {
                        view! { <PlanCard tool=tool is_last=is_last /> }.into_any()
                    } else {
                        view! { <ToolCard tool=tool /> }.into_any()
                    }
                }
            </For>
        </div>
    }
}

#[component]
fn ToolCard(tool: Memo<Option<Tool>>) -> impl IntoView {
    let open = RwSignal::new(false);
    let arguments = Memo::new(move |_| tool.with(|tool| tool.as_ref().map(|t| read_arguments(&t.name, &t.arguments)).unwrap_or_default()));
    let icon = Memo::new(move |_| tool.with(|tool| tool.as_ref().map_or(("check", "ok", "done"), state_icon)));
    let name = move || tool.with(|tool| tool.as_ref().map(|tool| tool.name.clone()));
    view! {
        <button
            type="button"
            class="tool"
            aria-expanded=move || if open.get() { "true" } else { "false" }
            title=move || arguments.with(|arguments| arguments.main.clone())
            on:click=move |_| open.update(|open| *open = !*open)
        >
            {move || view! { <Icon name=if open.get() { "chevron-down" } else { "chevron-right" } /> }}
            {move || {
                let (name, class, _) = icon.get();
                view! { <Icon name=name class=class /> }
            }}
            <b>{name}</b>
            <code>{move || arguments.with(|arguments| arguments.main.clone())}</code>
            <span class="num">
                {move || tool.with(|tool| tool.as_ref().map(result_word))}
                <span class="sr">{move || format!(" {}", icon.get().2)}</span>
            </span>
        </button>
        <Show when=move || open.get()>
            <ToolBody tool=tool arguments=arguments />
        </Show>
    }
}

#[component]
fn ToolBody(tool: Memo<Option<Tool>>, arguments: Memo<Arguments>) -> impl IntoView {
    let ide = use_ide();
    let all = RwSignal::new(false);
    let detail = Memo::new(move |_| arguments.with(|arguments| arguments.detail.clone()));
    let result = Memo::new(move |_| {
        tool.with(|tool| {
            let Some(tool) = tool else { return String::new() };
            if tool.output.is_empty() { tool.summary.clone() } else { tool.output.clone() }
        })
    });
    let lines = Memo::new(move |_| detail.with(|text| text.lines().count()) + result.with(|text| text.lines().count()));
    let folded = move || !all.get() && lines.get() > FOLD_LINES;
    let run = move || tool.with(|tool| tool.as_ref().and_then(|tool| tool.run_id));
    let is_running =
        move || tool.with(|tool| tool.as_ref().is_some_and(|tool| matches!(tool.state, ToolState::Running | ToolState::Waiting)));
    view! {
        <div class="tool-out">
            {move || {
                let text = detail.get();
                (!text.is_empty())
                    .then(|| {
                        view! {
                            <div class="tool-h">"Arguments"</div>
                            <div class="tool-arg">{fold(&text, folded().then_some(FOLD_LINES))}</div>
                            <div class="tool-h">"Output"</div>
                        }
                    })
            }}
            {move || {
                let used = detail.with(|text| text.lines().count());
                let text = result.get();
                if text.is_empty() {
                    Some(if is_running() { "Nothing yet" } else { "No output" }.to_owned())
                } else {
                    // The end of what a command printed says more than its beginning.
                    let room = FOLD_LINES.saturating_sub(used).max(3);
                    Some(fold_end(&text, folded().then_some(room)))
                }
            }}
            <Show when=move || { lines.get() > FOLD_LINES || run().is_some() }>
                <div class="acts">
                    <Show when=move || { lines.get() > FOLD_LINES }>
                        <button type="button" class="btn btn--s btn--ghost" on:click=move |_| all.update(|all| *all = !*all)>
                            {move || {
                                if all.get() {
                                    format!("Show {FOLD_LINES} lines")
                                } else {
                                    format!("Show all {} lines", format::count(lines.get() as i64))
                                }
                            }}
                        </button>
                    </Show>
                    {move || {
                        run()
                            .map(|id| {
                                view! {
                                    <button type="button" class="btn btn--s btn--ghost" on:click=move |_| ide.show_run(id)>
                                        "Show the run"
                                    </button>
                                }
                            })
                    }}
                </div>
            </Show>
        </div>
    }
}

/// The first `limit` lines, or all of them.
fn fold(text: &str, limit: Option<usize>) -> String {
    match limit {
        Some(limit) => text.lines().take(limit).collect::<Vec<_>>().join("\n"),
        None => text.trim_end_matches('\n').to_owned(),
    }
}

/// The last `limit` lines, or all of them.
fn fold_end(text: &str, limit: Option<usize>) -> String {
    let text = text.trim_end_matches('\n');
    let above = limit.map_or(0, |limit| text.lines().count().saturating_sub(limit));
    if above == 0 { text.to_owned() } else { text.lines().skip(above).collect::<Vec<_>>().join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_shows_its_end() {
        let lines: Vec<String> = (1..=9).map(|n| n.to_string()).collect();
        let text = lines.join("\n") + "\n";
        assert_eq!(fold_end(&text, Some(2)), "8\n9");
        assert_eq!((fold_end(&text, Some(9)), fold_end(&text, None)), (lines.join("\n"), lines.join("\n")));
        assert_eq!(fold(&text, Some(2)), "1\n2");
    }

    #[test]
    fn arguments_show_what_matters() {
        let main = |name, json| read_arguments(name, json).main;
        assert_eq!(main("read_file", r#"{"path":"a.rs","start_line":3,"end_line":9}"#), "a.rs, lines 3–9");
        assert_eq!(main("move_file", r#"{"from":"a","to":"b"}"#), "a → b");
        assert_eq!(main("search", r#"{"query":"x y"}"#), "x y");
        assert_eq!(main("run_command", r#"{"command":"a\n  b"}"#), "a b");
        assert_eq!(main("web_fetch", r#"{"url":"https://docs.rs/serde"}"#), "https://docs.rs/serde");
        assert_eq!(main("server__tool", r#"{"n":1,"subject":"s"}"#), "s");
        assert_eq!(main("search", "{broken"), "{broken");
        assert_eq!(main("propose_plan", r#"{"steps":["a","b"]}"#), "2 steps");
    }

    #[test]
    fn what_the_row_leaves_out_is_told_below() {
        let detail = |name, json| read_arguments(name, json).detail;
        assert_eq!(detail("run_command", r#"{"command":"ls","cwd":"a","timeout_s":5}"#), "in a\nat most 5 s\n");
        assert_eq!(detail("ask_user", r#"{"question":"Which?","options":["a","b"]}"#), "• a\n• b\n");
        assert!(detail("server__tool", r#"{"n":1,"subject":"s"}"#).contains("\"n\": 1"));
        assert_eq!(detail("search", r#"{"query":"x"}"#), "");
    }

    #[test]
    fn an_edit_shows_both_sides() {
        let arguments = read_arguments("edit_file", r#"{"path":"a","old_text":"x","new_text":"y\nz"}"#);
        assert_eq!(arguments.detail, "- x\n+ y\n+ z\n");
    }
}
