use super::{Operation, extras, op};

const STREAMS: &str = "Server-sent events: `id:` is `seq`, which counts 1, 2, 3 … in each stream. First what is missing after `after`, then what happens: no gap, nothing twice. \
Streams are `project:{id}`, `run:{id}`, `turn:{id}`, `conversation:{id}`, `job:{id}`, `user:me` and `admin`. A comment comes every ten seconds; a stream of something that ends, ends with it.";

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/api/projects/{id}/runs", "List runs"),
    op("POST", "/api/projects/{id}/runs", "Run a command, tests, or a prompt").ok(&[202])
        .note("Follow `run:{id}` for its output and its end. With `codegen` as its kind, `command` is a prompt of 1 to 100 000 characters, and `model`, `max_tokens`, `temperature` and `budget` say how it is answered: \
the run stands for a turn, `codegen_turn`, whose stream tells how far it is, and ends with what that proposes as `change_set_id`.")
        .asks(r#"{"kind": "sandbox_exec", "command": "python3 main.py", "timeout_s": 60}"#),
    op("GET", "/api/runs/{id}", "Read a run"),
    op("DELETE", "/api/runs/{id}", "Delete a run and its output"),
    op("GET", "/api/runs/{id}/output", "Read the output of a run").note("With `tail` only so many of the last bytes.").edit(extras::sends_output),
    op("POST", "/api/runs/{id}/cancel", "Cancel a run").note("Answers when nothing of it is left alive."),
    op("GET", "/api/runs/{id}/tests", "Read the report of a test run").note("`null` while the run goes on, and for runs that are no tests."),
    op("GET", "/api/projects/{id}/tests", "How a project is tested"),
    op("PUT", "/api/projects/{id}/tests", "Set how a project is tested"),
    op("POST", "/api/runs/{id}/previews/{port}", "The address of what listens inside a run"),
    op("GET", "/api/projects/{id}/terminals", "List terminals"),
    op("POST", "/api/projects/{id}/terminals", "Open a terminal").ok(&[202]).asks(r#"{"cols": 80, "rows": 24}"#),
    op("PATCH", "/api/terminals/{id}", "Rename a terminal").asks(r#"{"title": "Server"}"#),
    op("DELETE", "/api/terminals/{id}", "Close a terminal").note("Answers when nothing of it is left alive."),
    op("GET", "/api/terminals/{id}/ws", "Join a terminal")
        .note("A WebSocket. Binary frames are bytes, both ways; text frames are the controls and notices of `x-frames`. `after` is the offset of the last byte that is known: what came since is sent again, as far as it is remembered.")
        .edit(extras::opens_terminal),
    op("GET", "/api/live", "Follow several streams").note(STREAMS).edit(extras::follows_many),
    op("GET", "/api/live/{stream}", "Follow a stream").note(STREAMS).edit(extras::follows),
    op("GET", "/api/projects/{id}/conversations", "List or search conversations"),
    op("POST", "/api/projects/{id}/conversations", "Begin a conversation").ok(&[201]).asks(r#"{"title": "Faster start"}"#),
    op("GET", "/api/projects/{id}/conversations/removed", "List removed conversations").note("They are kept for a week."),
    op("GET", "/api/conversations/{id}", "Read a conversation"),
    op("PATCH", "/api/conversations/{id}", "Rename a conversation").asks(r#"{"title": "Faster start"}"#),
    op("DELETE", "/api/conversations/{id}", "Remove a conversation"),
    op("POST", "/api/conversations/{id}/restore", "Bring a removed conversation back"),
    op("GET", "/api/conversations/{id}/messages", "List messages").note("Each page in their order, the latest on the first."),
    op("GET", "/api/conversations/{id}/export", "Download a conversation").edit(extras::sends_conversation),
    op("POST", "/api/conversations/{id}/fork", "Go on from a message in another conversation").ok(&[201]).asks(r#"{"seq": 1}"#),
    op("GET", "/api/conversations/{id}/rewind/{turn}", "What taking a turn back would do"),
    op("POST", "/api/conversations/{id}/rewind", "Take turns back").note("The messages, the files, or both. What stands in the way is a 409 with the paths as its `current`."),
    op("POST", "/api/rewinds/{id}/undo", "Undo a rewind"),
    op("POST", "/api/conversations/{id}/turns", "Ask the agent").ok(&[202])
        .note("Follow `turn:{id}` for what it does. Its changes are a change set that somebody decides. `budget` limits this message alone, in US dollars, tokens and steps: whichever is reached first ends the turn, with `budget` or `limit` as its reason and a sentence that names it. No answer of the model begins whose worst case `usd` does not cover. A limit that can't be read, or that is none of these, is refused by its name.")
        .asks(r#"{"prompt": "Add a test for the parser", "mode": "ask", "budget": {"usd": 0.5, "steps": 20}}"#)
        .says(r#"{"turn_id": "0199f1a2-7c3e-7b1a-9d50-3f0c8e1b2a44"}"#),
    op("POST", "/api/conversations/{id}/queue", "Ask the agent when it is done").ok(&[202]).note("What waits keeps its own limits.").asks(r#"{"prompt": "Then update the documentation", "budget": {"usd": 0.25}}"#),
    op("PATCH", "/api/queue/{id}", "Change what waits")
        .note("With `version` only as long as what waits still has it, else 409 with what waits now as `current`; without, whatever it is by then.")
        .asks(r#"{"prompt": "Then update the documentation and its index", "version": 1}"#),
    op("DELETE", "/api/queue/{id}", "Take back what waits").note("With `version` only that one: 409 with what waits now as `current` where it was changed since."),
    op("POST", "/api/queue/{id}/send", "Send what waits now").ok(&[202]),
    op("GET", "/api/turns/{id}", "Read a turn"),
    op("POST", "/api/turns/{id}/stop", "Stop a turn"),
    op("POST", "/api/turns/{id}/approvals/{call_id}", "Answer what the agent asks").asks(r#"{"decision": "approve"}"#),
    op("POST", "/api/projects/{id}/context", "What would be sent to the model").note("Nothing is sent."),
    op("POST", "/api/projects/{id}/images", "Upload a picture").ok(&[201]).note("The body is the picture.").edit(extras::takes_picture),
    op("GET", "/api/projects/{id}/images/{checksum}", "Read a picture").edit(extras::sends_picture),
    op("GET", "/api/conversations/{id}/compactions", "List the summaries of a conversation"),
    op("PUT", "/api/conversations/{id}/compactions/{seq}", "Take a summary back, or use it again").asks(r#"{"undone": true}"#),
    op("GET", "/api/projects/{id}/change-sets", "List what waits for a review"),
    op("GET", "/api/turns/{id}/changes", "Read what a turn proposes"),
    op("GET", "/api/change-sets/{id}", "Read a change set"),
    op("GET", "/api/change-sets/{id}/sides", "Read a file before and after"),
    op("POST", "/api/change-sets/{id}/decisions", "Decide hunks")
        .note("Applied by comparing with what is there now. What no longer fits becomes a conflict and is reported, never forced; the model is told exactly what was accepted, edited and rejected."),
    op("POST", "/api/change-sets/{id}/comments", "Comment on a hunk").ok(&[201]),
    op("POST", "/api/change-sets/{id}/comments/send", "Send the comments as the next prompt")
        .ok(&[202])
        .note("While the agent is at work in the conversation, it waits in the queue there."),
    op("DELETE", "/api/review-comments/{id}", "Delete a comment"),
    op("POST", "/api/projects/{id}/proposals", "Propose the text of a file").ok(&[201]).asks(r#"{"path": "notes.txt", "text": "One line\n"}"#),
    op("GET", "/api/models", "List models"),
    op("POST", "/api/v1/generate", "Ask a model one question").note("Without project, tools or conversation. A caller that goes ends the answer.")
        .asks(r#"{"prompt": "Name three rivers.", "max_tokens": 100}"#)
        .says(r#"{
            "text": "Rhine, Nile, Amazon.", "model": "demo", "instead_of": null, "cut": false,
            "usage": { "input": 5, "output": 7, "cached": 0, "cost_micros": 0, "estimated": false }
        }"#),
    op("GET", "/ws/generate", "Ask a model, piece by piece")
        .note("A WebSocket for one answer at a time. Text frames in: a prompt, or `stop`. Text frames out: pieces of the answer, its end, or a problem; see `x-frames`.")
        .edit(extras::opens_generation),
];
