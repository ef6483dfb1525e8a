use serde_json::{Value, json};

use super::Tool;

const QUESTION_MAX_CHARS: usize = 4000;
const OPTIONS_MAX: usize = 8;
const OPTION_MAX_CHARS: usize = 300;

/// Nothing runs for it: the turn waits for a person, and their words are the result.
pub const TOOL: Tool = Tool {
    name: "ask_user",
    description: "Asks the person one question and waits for their answer, which may take long. Use it only where the work can't go on without \
                  something that neither the project nor the conversation tells, such as a choice between two meanings of the request. Offer up \
                  to 8 options where there are clear ones; the person may answer in their own words all the same.",
    schema,
    mutates: false,
    asks: true,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "question": {"type": "string", "description": "One question, with what the person needs to know to answer it."},
            "options": {"type": "array", "items": {"type": "string"}, "maxItems": OPTIONS_MAX, "description": "Answers to choose from."}
        },
        "required": ["question"],
        "additionalProperties": false
    })
}

/// What keeps a question from being asked, as a sentence for the model. The types are right already.
pub fn check(arguments: &str) -> Result<(), String> {
    let fields: Value = serde_json::from_str(arguments).unwrap_or_default();
    let question = fields["question"].as_str().unwrap_or_default();
    if question.trim().is_empty() {
        return Err("Not asked: question is empty.".to_owned());
    }
    if question.chars().count() > QUESTION_MAX_CHARS {
        return Err(format!("Not asked: question has more than {QUESTION_MAX_CHARS} characters."));
    }
    let options: Vec<&str> = fields["options"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if options.len() > OPTIONS_MAX {
        return Err(format!("Not asked: options has more than {OPTIONS_MAX} entries."));
    }
    if options.iter().any(|option| option.trim().is_empty() || option.chars().count() > OPTION_MAX_CHARS) {
        return Err(format!("Not asked: each of options takes 1 to {OPTION_MAX_CHARS} characters."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_checked_before_a_person_sees_it() {
        assert_eq!(check(r#"{"question":"Which of the two?","options":["a","b"]}"#), Ok(()));
        let long = json!({ "question": "x".repeat(QUESTION_MAX_CHARS + 1) }).to_string();
        let many = json!({ "question": "?", "options": vec!["o"; OPTIONS_MAX + 1] }).to_string();
        for (wrong, said) in [
            (r#"{"question":" "}"#, "question is empty"),
            (long.as_str(), "more than 4000 characters"),
            (many.as_str(), "more than 8 entries"),
            (r#"{"question":"?","options":[""]}"#, "each of options"),
        ] {
            assert!(check(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }
}
