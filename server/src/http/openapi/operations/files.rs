use super::{Operation, extras, op};

const FILE: &str = "/api/projects/{id}/files/{*path}";
const UPLOAD: &str = "/api/uploads/{id}";
const IMPORT: &str = "/api/imports/{id}";

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    op("GET", "/api/projects/{id}/tree", "List files").note("`seq` is the last event that the list has seen: follow `project:{id}` from there."),
    op("GET", "/api/projects/{id}/history", "List the versions of a file"),
    op("GET", FILE, "Read a file").note("The bytes, of now or of an earlier `version`.").edit(extras::sends_file),
    op("PUT", FILE, "Write a file").also(&[412, 428])
        .note("The body is the content. A new file needs `If-None-Match: *`, an existing one `If-Match` with its ETag; neither on an existing file is 428. 412 carries what is there now as `current`.")
        .edit(extras::saves_file),
    op("DELETE", FILE, "Delete a file or a directory").also(&[412, 428])
        .note("To the trash. A file needs `If-Match` with its ETag, or its `version`; a directory needs the `revision` of the project, after which nothing in it may have changed. None of them is 428.")
        .edit(extras::deletes_file),
    op("POST", "/api/projects/{id}/files:move", "Move a file or a directory").also(&[412, 428])
        .note("`base` names the version of a file, or the revision of the project; without it the answer is 428.")
        .asks(r#"{"from": "a.txt", "to": "notes/a.txt", "base": {"version": 1}}"#),
    op("POST", "/api/projects/{id}/files:copy", "Copy a file or a directory").asks(r#"{"from": "a.txt", "to": "b.txt"}"#),
    op("POST", "/api/projects/{id}/files:restore", "Bring back what was deleted, or an earlier version").also(&[412, 428])
        .note("`base` is `new` where nothing is, else the version of the file or the revision of the project; without it the answer is 428. Of a deleted directory comes back what is kept still: the trash tells how much that is.")
        .asks(r#"{"path": "a.txt", "version": 1, "base": {"version": 2}}"#),
    op("POST", "/api/projects/{id}/files:batch", "Write many files").note("First the part `manifest`, then one part for each file, in its order.").edit(extras::takes_batch),
    op("GET", "/api/projects/{id}/trash", "List what was deleted").note("`files` can be restored, `lost` went with them and are not kept any more."),
    op("GET", "/api/projects/{id}/archive", "Download a directory").note("As a zip that is made while it is sent. With several paths the zip is called as the directory that they have in common.").edit(extras::sends_zip),
    op("POST", "/api/projects/{id}/uploads", "Begin an upload in pieces").ok(&[201])
        .note("It can be taken up again after a lost connection or a restart of the server.")
        .asks(r#"{"path": "data/readings.bin", "size": 52428800, "base": "new"}"#),
    op("GET", UPLOAD, "Where an upload is").edit(extras::tells_offset),
    op("PATCH", UPLOAD, "Send a piece").also(&[412, 428]).note("202 while more is to come, then as writing a file. With a precondition the upload ends on that instead of what it began with.").edit(extras::appends),
    op("DELETE", UPLOAD, "Give an upload up"),
    op("GET", "/api/projects/{id}/search", "Search").note("Streamed; it ends when the client goes.").edit(extras::sends_matches),
    op("POST", "/api/projects/{id}/replace", "Replace what a search finds").note("As a change set to be reviewed. No file is written.").asks(r#"{"q": "colour", "replacement": "color", "word": true}"#),
    op("POST", "/api/projects/{id}/outline", "The symbols of a file").asks(r#"{"path": "src/main.rs"}"#),
    op("GET", "/api/projects/{id}/checkpoints", "List checkpoints"),
    op("POST", "/api/projects/{id}/checkpoints", "Make a checkpoint").ok(&[201]).asks(r#"{"name": "Before the rewrite"}"#),
    op("PATCH", "/api/projects/{id}/checkpoints/{cid}", "Rename a checkpoint").asks(r#"{"name": "Kept"}"#),
    op("DELETE", "/api/projects/{id}/checkpoints/{cid}", "Delete a checkpoint"),
    op("GET", "/api/projects/{id}/checkpoints/{cid}/files", "List what a checkpoint holds").note("Sorted by path. `version` reads the bytes of a file, also where it has changed since."),
    op("GET", "/api/projects/{id}/checkpoints/{cid}/diff", "What restoring a checkpoint would do"),
    op("POST", "/api/projects/{id}/checkpoints/{cid}/restore", "Restore a checkpoint").note("A checkpoint is made first, so that it can be undone. What stands in the way is a 409 with the paths as its `current`."),
    op("POST", "/api/projects/{id}/fork", "Make a project of this one").ok(&[201]).asks(r#"{"name": "Another try"}"#),
    op("POST", "/api/projects/import", "Import a project").ok(&[202]).also(&[413, 415])
        .note("An archive as a form, or JSON with the address of a git repository.").edit(extras::takes_archive),
    op("POST", "/api/imports", "Begin an import of files").ok(&[201])
        .note("For a folder or several files: send them batch by batch, then finish the import; a job makes the project. An import that gets no batch for three hours is given up, and so is the one that waited longest where somebody begins a fifth.")
        .asks(r#"{"name": "Weather station", "files": 231, "bytes": 1048576}"#),
    op("GET", IMPORT, "Read how far an import is"),
    op("DELETE", IMPORT, "Give an import up").note("While its files come and while its job works. Nothing is left of it."),
    op("GET", "/api/imports/{id}/files", "List the files that have come").note("So that a program can go on where it was."),
    op("POST", "/api/imports/{id}/files", "Send files of an import")
        .note("First the part `manifest`, then one part for each file, in its order. What a project can't have is left out and told file by file. A batch may be sent again: what has come already stays.")
        .edit(extras::takes_import_batch),
    op("POST", "/api/imports/{id}/finish", "Make the project").ok(&[202])
        .note("Once all files have come. The project is seen when the job has filled it, and never if the job is cancelled. Asked again, it answers the same."),
    op("GET", "/api/projects/{id}/export", "Download an archive made now")
        .note("The archive that `POST` on `exports` makes, made while it is sent: nothing is kept, and a download that broke off begins again. With `history` it can be imported again as it was.")
        .edit(extras::sends_zip),
    op("POST", "/api/projects/{id}/exports", "Make an archive").ok(&[202]).note("With history it can be imported again as it was."),
    op("GET", "/api/projects/{id}/exports", "List archives"),
    op("GET", "/api/exports/{id}", "Read the progress of an archive"),
    op("GET", "/api/exports/{id}/archive", "Download an archive").edit(extras::sends_archive_again),
    op("DELETE", "/api/exports/{id}", "Delete an archive"),
    op("GET", "/api/jobs/{id}", "Read the progress of a job"),
    op("POST", "/api/jobs/{id}/cancel", "Cancel a job"),
];
