//! Bytes on their way in and out: encodings, styles, pieces and batches.

mod support;

use blobs::Reader;
use domain::{
    Ctx, Error,
    files::{self, Appended, Precondition},
};
use support::Home;
use wire::{
    ProjectId, UploadId,
    files::{Base, BatchOutcome, SaveOutcome, SaveText, StartUpload, TextFormat},
};

on_both!(
    text_keeps_its_encoding,
    the_nearest_editorconfig_has_the_last_word,
    an_upload_in_pieces_becomes_a_file,
    a_piece_counts_once,
    an_upload_that_met_a_conflict_can_end_on_another_base,
    uploads_are_their_owners_alone,
    a_batch_is_one_revision_and_tells_each_file
);

fn body(bytes: impl AsRef<[u8]>) -> Reader {
    Box::pin(std::io::Cursor::new(bytes.as_ref().to_vec()))
}

async fn put(ctx: &Ctx, project: ProjectId, path: &str, bytes: &[u8]) {
    files::put(ctx, project, path, Precondition::New, body(bytes), None).await.unwrap();
}

async fn bytes(ctx: &Ctx, project: ProjectId, path: &str) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut found = Vec::new();
    files::locate(ctx, project, path, None).await.unwrap().open().await.unwrap().read_to_end(&mut found).await.unwrap();
    found
}

async fn text_keeps_its_encoding(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let cases: [(&str, &[u8], &str, &str); 5] = [
        ("plain", "é\r\n".as_bytes(), "é\r\n", "é\r\n!"),
        ("marked", b"\xef\xbb\xbfa\n", "a\n", "a\n!"),
        ("wide", b"\xff\xfea\0\r\0\n\0", "a\r\n", "a\r\n!"),
        ("wide-big", b"\xfe\xff\0a\0\n", "a\n", "a\n!"),
        ("latin", b"caf\xe9\n", "café\n", "café\n!"),
    ];
    for (path, raw, text, edited) in cases {
        put(&ctx, project, path, raw).await;
        let opened = files::open_text(&ctx, project, path, None).await.unwrap();
        assert_eq!(opened.text.as_deref(), Some(text), "{path}");
        let request =
            |base, text: &str| SaveText { path: path.into(), base: Base::Version(base), text: text.into(), format: opened.format.clone() };
        let same = files::save_text(&ctx, project, request(1, text)).await.unwrap();
        assert!(matches!(same, SaveOutcome::Saved { .. }));
        assert_eq!(bytes(&ctx, project, path).await, raw, "{path} is the same byte for byte");
        files::save_text(&ctx, project, request(2, edited)).await.unwrap();
        let again = files::open_text(&ctx, project, path, None).await.unwrap();
        assert_eq!((again.text.as_deref(), &again.format), (Some(edited), &opened.format), "{path}");
    }
    let latin = TextFormat { encoding: "windows-1252".into(), bom: false };
    let request = SaveText { path: "latin".into(), base: Base::Version(3), text: "a\n→".into(), format: latin };
    let refused = files::save_text(&ctx, project, request).await;
    assert!(matches!(&refused, Err(Error::Invalid(fields)) if fields[0].message.contains("U+2192")), "{refused:?}");
    put(&ctx, project, "image.png", b"\x89PNG\r\n\x1a\n\0\0").await;
    assert_eq!(files::open_text(&ctx, project, "image.png", None).await.unwrap().text, None);
}

async fn the_nearest_editorconfig_has_the_last_word(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(
        &ctx,
        project,
        ".editorconfig",
        b"[*]\nindent_style = space\nindent_size = 4\ninsert_final_newline = true\n[*.go]\nindent_style = tab\n",
    )
    .await;
    put(&ctx, project, "web/.editorconfig", b"[*.{js,ts}]\nindent_size = 2\n[old/**]\ncharset = latin1\n").await;
    put(&ctx, project, "own/.editorconfig", b"root = true\n[*]\ntab_width = 8\n").await;
    for path in ["web/a.js", "web/old/empty.js", "x.go", "own/x.py"] {
        put(&ctx, project, path, b"").await;
    }
    let opened = async |path: &str| files::open_text(&ctx, project, path, None).await.unwrap();
    let js = opened("web/a.js").await.style;
    assert_eq!((js.insert_spaces, js.indent_size, js.insert_final_newline), (Some(true), Some(2), Some(true)));
    assert_eq!(opened("web/old/empty.js").await.format.encoding, "windows-1252", "what an empty file is to become");
    assert_eq!(opened("x.go").await.style.insert_spaces, Some(false));
    let own = opened("own/x.py").await.style;
    assert_eq!((own.insert_spaces, own.tab_width), (None, Some(8)), "root ends the search");
    let changed =
        SaveText { path: ".editorconfig".into(), base: Base::Version(1), text: "[*]\nindent_size=3".into(), format: TextFormat::default() };
    files::save_text(&ctx, project, changed).await.unwrap();
    assert_eq!(opened("x.go").await.style.indent_size, Some(3), "a change counts at once");
}

async fn start(ctx: &Ctx, project: ProjectId, path: &str, size: i64, base: Base) -> UploadId {
    files::start_upload(ctx, project, StartUpload { path: path.into(), size, base }).await.unwrap().id
}

async fn append(ctx: &Ctx, id: UploadId, offset: i64, piece: &[u8]) -> Result<Appended, Error> {
    files::append_upload(ctx, id, offset, body(piece), None).await
}

async fn an_upload_in_pieces_becomes_a_file(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let whole: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let id = start(&ctx, project, "d/big.bin", whole.len() as i64, Base::New).await;
    let mut offset = 0;
    for piece in whole.chunks(70_001) {
        let appended = append(&ctx, id, offset, piece).await.unwrap();
        offset += piece.len() as i64;
        match appended {
            Appended::More(upload) => {
                assert_eq!((upload.received, files::get_upload(&ctx, id).await.unwrap().received), (offset, offset));
                assert!(matches!(files::entry(&ctx, project, "d/big.bin").await, Err(Error::NotFound(_))));
            }
            Appended::Done(put) => assert!(put.created && offset == whole.len() as i64),
        }
    }
    assert_eq!(bytes(&ctx, project, "d/big.bin").await, whole);
    assert!(matches!(files::get_upload(&ctx, id).await, Err(Error::NotFound(_))), "it is over");
    let empty = start(&ctx, project, "empty", 0, Base::New).await;
    assert!(matches!(append(&ctx, empty, 0, b"").await, Ok(Appended::Done(_))));
    let one = start(&ctx, project, "one", 3, Base::New).await;
    assert!(matches!(append(&ctx, one, 0, b"abcd").await, Err(Error::TooLarge(_))), "more than was announced");
    assert!(matches!(append(&ctx, one, 0, b"abc").await, Ok(Appended::Done(_))));
    let too_large = StartUpload { path: "x".into(), size: 1 << 30, base: Base::New };
    assert!(matches!(files::start_upload(&ctx, project, too_large).await, Err(Error::TooLarge(_))));
    let taken = StartUpload { path: "one".into(), size: 1, base: Base::New };
    assert!(matches!(files::start_upload(&ctx, project, taken).await, Err(Error::PreconditionFailed { .. })));
    let gone = start(&ctx, project, "gone", 5, Base::New).await;
    append(&ctx, gone, 0, b"12").await.unwrap();
    files::discard_upload(&ctx, gone).await.unwrap();
    assert!(matches!(append(&ctx, gone, 2, b"345").await, Err(Error::NotFound(_))));
}

/// The same piece sent by eight connections at once is kept once; the others are told where to go on.
async fn a_piece_counts_once(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let id = start(&ctx, project, "a", 8, Base::New).await;
    for offset in [0, 4] {
        let senders = (0..8).map(|_| {
            let ctx = ctx.clone();
            tokio::spawn(async move { append(&ctx, id, offset, &b"01234567"[offset as usize..][..4]).await })
        });
        let answers: Vec<_> = futures::future::join_all(senders).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for error in answers.into_iter().filter_map(Result::err) {
            match error {
                Error::Conflict { current: Some(current), .. } => assert_eq!(current["received"], offset + 4),
                // The last piece makes the file, and then there is no upload.
                Error::NotFound(_) | Error::PreconditionFailed { .. } if offset == 4 => {}
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(bytes(&ctx, project, "a").await, b"01234567");
    assert_eq!(files::entry(&ctx, project, "a").await.unwrap().version, 1);
}

async fn an_upload_that_met_a_conflict_can_end_on_another_base(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "a", b"first").await;
    let id = start(&ctx, project, "a", 4, Base::Version(1)).await;
    append(&ctx, id, 0, b"mi").await.unwrap();
    files::put(&ctx, project, "a", Precondition::Version(1), body(b"theirs"), None).await.unwrap();
    assert!(matches!(append(&ctx, id, 2, b"ne").await, Err(Error::PreconditionFailed { current: Some(_), .. })));
    assert_eq!(bytes(&ctx, project, "a").await, b"theirs", "nothing was overwritten");
    assert_eq!(files::get_upload(&ctx, id).await.unwrap().received, 4, "and nothing has to travel again");
    let ended = files::append_upload(&ctx, id, 4, body(b""), Some(Precondition::Version(2))).await;
    assert!(matches!(ended, Ok(Appended::Done(put)) if !put.created && put.entry.version == 3));
    assert_eq!(bytes(&ctx, project, "a").await, b"mine");
}

async fn uploads_are_their_owners_alone(home: Home) {
    let (ctx, other) = (home.person("ada").await, home.person("mallory").await);
    let project = home.project(&ctx).await.id;
    let id = start(&ctx, project, "a", 4, Base::New).await;
    assert!(matches!(files::get_upload(&other, id).await, Err(Error::NotFound(_))));
    assert!(matches!(append(&other, id, 0, b"evil").await, Err(Error::NotFound(_))));
    assert!(matches!(files::discard_upload(&other, id).await, Err(Error::NotFound(_))));
    let request = StartUpload { path: "b".into(), size: 1, base: Base::New };
    assert!(matches!(files::start_upload(&other, project, request).await, Err(Error::NotFound(_))));
}

async fn a_batch_is_one_revision_and_tells_each_file(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "there", b"old").await;
    put(&ctx, project, "moved on", b"old").await;
    let before = files::tree(&ctx, project).await.unwrap().revision;
    let mut batch = Vec::new();
    for (path, base) in [
        ("new/a", Base::New),
        ("there", Base::Version(1)),
        ("moved on", Base::Version(7)),
        ("../x", Base::New),
        ("there/b", Base::New),
        ("new/a", Base::New),
    ] {
        let bytes = files::receive(&ctx, project, body(path)).await.unwrap();
        batch.push(files::BatchFile { path: path.into(), base, bytes });
    }
    let large = files::receive(&ctx, project, body(vec![0; (1 << 20) + 1])).await.unwrap();
    batch.push(files::BatchFile { path: "large".into(), base: Base::New, bytes: large });
    let outcomes = files::save_batch(&ctx, project, batch).await.unwrap();
    let words: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            BatchOutcome::Saved { .. } => "saved",
            BatchOutcome::Conflict { current: Some(_), .. } => "conflict",
            BatchOutcome::Conflict { .. } => "gone",
            BatchOutcome::Refused { .. } => "refused",
        })
        .collect();
    assert_eq!(words, ["saved", "saved", "conflict", "refused", "refused", "conflict", "refused"]);
    let tree = files::tree(&ctx, project).await.unwrap();
    assert_eq!(tree.revision, before + 1);
    assert_eq!(tree.items.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["moved on", "new", "new/a", "there"]);
    assert_eq!(bytes(&ctx, project, "moved on").await, b"old");
}
