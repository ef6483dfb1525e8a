use store::{Db, chat, permissions};
use wire::{
    Micros, ProjectId,
    chat::{MessageBody, Mode, TurnReason},
    permissions::{PermissionEffect, PermissionRule},
    users::UserRef,
};

use crate::world::{at, conversation, id, new_turn, project, read, turn, user, write};

fn rule(project_id: ProjectId, by: Option<UserRef>, created_at: Micros) -> PermissionRule {
    PermissionRule {
        id: id(),
        project_id,
        effect: PermissionEffect::Allow,
        tool: Some("run_command".to_owned()),
        command_pattern: Some("cargo test *".to_owned()),
        path_pattern: None,
        created_by: by,
        created_at,
    }
}

pub async fn rules_are_added_listed_and_revoked_by_project(db: Db) {
    let ada = user(&db, "ada").await;
    let (one, other) = (project(&db, ada).await, project(&db, ada).await);
    let by = Some(UserRef { id: ada, name: "ada".to_owned() });
    let older = rule(one, by.clone(), at(1));
    let newer = PermissionRule {
        effect: PermissionEffect::Deny,
        tool: None,
        command_pattern: None,
        path_pattern: Some("docs/**".to_owned()),
        ..rule(one, None, at(2))
    };
    let elsewhere = rule(other, by, at(3));
    for each in [&older, &newer, &elsewhere] {
        write!(&db, tx => permissions::lock(&mut tx, each.project_id));
        write!(&db, tx => permissions::insert_rule(&mut tx, each));
    }
    assert_eq!(permissions::rules(&mut read(&db).await, one).await.unwrap(), [newer.clone(), older.clone()]);
    assert_eq!(permissions::rules(&mut read(&db).await, other).await.unwrap(), std::slice::from_ref(&elsewhere));
    assert!(!write!(&db, tx => permissions::delete_rule(&mut tx, one, elsewhere.id)), "a rule goes by its own project only");
    assert!(write!(&db, tx => permissions::delete_rule(&mut tx, one, older.id)));
    assert!(!write!(&db, tx => permissions::delete_rule(&mut tx, one, older.id)));
    assert_eq!(permissions::rules(&mut read(&db).await, one).await.unwrap(), [newer]);
}

pub async fn past_turns_are_the_last_of_the_project(db: Db) {
    let ada = user(&db, "ada").await;
    let (here, elsewhere) = (project(&db, ada).await, project(&db, ada).await);
    turn(&db, elsewhere, ada).await;
    let talk = conversation(&db, here, ada).await;
    let mut turns = Vec::new();
    for second in 1..=3 {
        let new = chat::NewTurn { at: at(second), mode: Mode::Auto, ..new_turn(talk, here, ada) };
        write!(&db, tx => chat::insert_turn(&mut tx, &new));
        write!(&db, tx => chat::finish_turn(&mut tx, new.id, TurnReason::Done, "", at(second)));
        let body = MessageBody::Note { text: format!("of {second}") };
        write!(&db, tx => chat::insert_message(&mut tx, id(), talk, Some(new.id), &body, at(second)));
        turns.push(new.id);
    }
    let found = permissions::past_turns(&mut read(&db).await, here, 2).await.unwrap();
    assert_eq!(found.iter().map(|turn| (turn.id, turn.mode.0)).collect::<Vec<_>>(), [(turns[2], Mode::Auto), (turns[1], Mode::Auto)]);
    let messages = permissions::past_messages(&mut read(&db).await, &found[0]).await.unwrap();
    assert_eq!(messages, [(MessageBody::Note { text: "of 3".to_owned() }, at(3))]);
    write!(&db, tx => chat::mark_conversation_deleted(&mut tx, talk, at(9)));
    assert!(permissions::past_turns(&mut read(&db).await, here, 9).await.unwrap().is_empty());
}
