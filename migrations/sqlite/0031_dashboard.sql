-- What the list of projects tells without looking at their files: bytes by language, as JSON. Whatever writes files keeps it.
ALTER TABLE projects ADD COLUMN languages TEXT NOT NULL DEFAULT '{}';
WITH kinds (ending, name) AS (VALUES
    ('c', 'C'), ('h', 'C'), ('cs', 'C#'), ('cc', 'C++'), ('cpp', 'C++'), ('cxx', 'C++'), ('hh', 'C++'), ('hpp', 'C++'),
    ('css', 'CSS'), ('less', 'CSS'), ('sass', 'CSS'), ('scss', 'CSS'), ('clj', 'Clojure'), ('cljs', 'Clojure'),
    ('dart', 'Dart'), ('ex', 'Elixir'), ('exs', 'Elixir'), ('erl', 'Erlang'), ('go', 'Go'), ('htm', 'HTML'), ('html', 'HTML'),
    ('hs', 'Haskell'), ('java', 'Java'), ('cjs', 'JavaScript'), ('js', 'JavaScript'), ('jsx', 'JavaScript'),
    ('mjs', 'JavaScript'), ('jl', 'Julia'), ('ipynb', 'Jupyter'), ('kt', 'Kotlin'), ('kts', 'Kotlin'), ('lua', 'Lua'),
    ('nim', 'Nim'), ('ml', 'OCaml'), ('mli', 'OCaml'), ('php', 'PHP'), ('pl', 'Perl'), ('pm', 'Perl'), ('py', 'Python'),
    ('pyi', 'Python'), ('pyw', 'Python'), ('r', 'R'), ('rb', 'Ruby'), ('rs', 'Rust'), ('sql', 'SQL'), ('scala', 'Scala'),
    ('bash', 'Shell'), ('sh', 'Shell'), ('zsh', 'Shell'), ('svelte', 'Svelte'), ('swift', 'Swift'), ('cts', 'TypeScript'),
    ('mts', 'TypeScript'), ('ts', 'TypeScript'), ('tsx', 'TypeScript'), ('vue', 'Vue'), ('zig', 'Zig'))
UPDATE projects SET languages = sums.doc
FROM (
    SELECT part.project_id, json_group_object(part.name, part.bytes) AS doc
    FROM (
        SELECT f.project_id, k.name, SUM(f.size) AS bytes
        FROM file_versions f
        JOIN kinds k ON k.ending = lower(replace(f.path, rtrim(f.path, replace(f.path, '.', '')), ''))
        WHERE f.superseded IS NULL AND f.action <> 'deleted' AND f.kind = 'file' AND instr(f.path, '.') > 0
        GROUP BY f.project_id, k.name
        HAVING SUM(f.size) > 0
    ) AS part
    GROUP BY part.project_id
) AS sums
WHERE sums.project_id = projects.id;

-- What somebody talked about last, and what runs or waits for a review, in all projects at once.
CREATE INDEX conversations_by_user ON conversations (user_id, updated_at) WHERE deleted_at IS NULL;
CREATE INDEX runs_active ON runs (project_id) WHERE state IN ('queued', 'running');
CREATE INDEX change_sets_open ON change_sets (project_id) WHERE state = 'open';
CREATE INDEX turns_unfinished ON turns (project_id) WHERE state <> 'finished';
