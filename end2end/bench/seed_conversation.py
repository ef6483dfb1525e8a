"""Fills a conversation in a SQLite database: seed_conversation.py DATABASE PROJECT CONVERSATION USER TURNS EVENTS_A_TURN [LIVE_EVENTS]

Each turn is a prompt, an answer with a call, its result and an answer with some Markdown, and the events that people would have watched.
With LIVE_EVENTS a last turn is still at work after so many.
"""
import json
import sqlite3
import sys
import time
import uuid

database, project, conversation, user = sys.argv[1], *(uuid.UUID(word).bytes for word in sys.argv[2:5])
turns, events_a_turn = int(sys.argv[5]), int(sys.argv[6])
live_events = int(sys.argv[7]) if len(sys.argv) > 7 else 0
conversation_id = str(uuid.UUID(bytes=conversation))
db = sqlite3.connect(database, timeout=30)
begun = int((time.time() - 86_400) * 1_000_000)
ANSWER = (
    "The `parser` keeps **one** token of look-ahead.\n\n- it never goes back\n- it is a *loop*\n\n"
    "```rust\nfn step(state: &mut State) -> bool {\n    state.next()\n}\n```\n\nThat is answer {n}."
)
seq = 0
told = 0


def tell(stream, number, at, kind, **fields):
    body = json.dumps({"kind": kind, **fields}, separators=(",", ":"))
    db.execute("INSERT INTO events (stream, seq, at, body) VALUES (?, ?, ?, ?)", (stream, number, at, body))


def say(turn, at, body, words=None, turn_event=None):
    global seq, told
    seq += 1
    told += 1
    row = (uuid.uuid4().bytes, conversation, turn.bytes, seq, json.dumps(body, separators=(",", ":")), at, words, turn_event)
    db.execute("INSERT INTO messages (id, conversation_id, turn_id, seq, body, created_at, words, turn_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    tell(f"conversation:{conversation_id}", told, at, "message_added", seq=seq)


def add_turn(n, count, live):
    turn, at = uuid.uuid4(), begun + n * 1_000_000
    stream, prompt = f"turn:{turn}", f"Question {n}: how does it parse?"
    call = {"id": f"call-{n}", "name": "read_file", "arguments": '{"path":"a.txt"}'}
    usage = {"input": 10, "output": 20, "cached": 0}
    state, reason, ended = ("waiting", None, None) if live else ("finished", "done", at + 900_000)
    db.execute(
        "INSERT INTO turns (id, conversation_id, project_id, user_id, prompt, mode, model, state, reason, detail, base_revision, usage_input,"
        " usage_output, usage_cached, stop_requested, created_at, started_at, finished_at) VALUES (?,?,?,?,?,'ask','scripted',?,?,'',1,10,20,0,0,?,?,?)",
        (turn.bytes, conversation, project, user, prompt, state, reason, at, at, ended),
    )
    say(turn, at, {"role": "user", "text": prompt}, prompt.lower())
    number = 1
    tell(stream, number, at, "turn_started", model="scripted")
    for _ in range(count):
        number += 1
        tell(stream, number, at, "text_delta", text="The parser keeps one token. ")
    text = ANSWER.replace("{n}", str(n))
    say(turn, at + 1, {"role": "assistant", "text": f"Let me look at it, {n}.", "tool_calls": [call], "usage": usage}, None, number)
    for kind, fields in (
        ("usage", usage),
        ("tool_called", {"call_id": call["id"], "name": call["name"], "arguments": call["arguments"]}),
        ("tool_finished", {"call_id": call["id"], "ok": True, "summary": "40 lines"}),
    ):
        number += 1
        tell(stream, number, at, kind, **fields)
    say(turn, at + 2, {"role": "tool", "call_id": call["id"], "name": call["name"], "ok": True, "content": "line\n" * 40}, None, number)
    say(turn, at + 3, {"role": "assistant", "text": text, "tool_calls": [], "usage": usage}, text.lower(), number)
    if not live:
        number += 1
        tell(stream, number, at, "turn_finished", reason="done", detail="")
    db.execute("INSERT INTO event_streams (stream, last_seq) VALUES (?, ?)", (stream, number))


for n in range(turns):
    add_turn(n, events_a_turn, False)
if live_events:
    add_turn(turns, live_events, True)
name = f"conversation:{conversation_id}"
db.execute("DELETE FROM events WHERE stream = ? AND seq > ?", (name, told))
db.execute("INSERT INTO event_streams (stream, last_seq) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET last_seq = ?", (name, told, told))
db.execute("UPDATE conversations SET last_message = ?, title = 'A long conversation', updated_at = ? WHERE id = ?", (seq, begun, conversation))
db.commit()
print(db.execute("SELECT COUNT(*) FROM events").fetchone()[0])
