use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolError};
use crate::text::count_of;

const STEPS_MAX: usize = 50;
const STEP_MAX_CHARS: usize = 1000;

pub const TOOL: Tool = Tool {
    name: "propose_plan",
    description: "Shows the person a plan as a list of 1 to 50 steps, each a sentence or two that says what is done and in which files. Use it once you \
                  know enough, in plan mode at the end. It changes nothing and waits for nobody.",
    schema,
    mutates: false,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": STEPS_MAX, "description": "The steps in their order."}
        },
        "required": ["steps"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub steps: Vec<String>,
}

pub fn execute(Args { steps }: &Args) -> Result<Output, ToolError> {
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return Err(ToolError::refused(format!("Not shown: steps takes 1 to {STEPS_MAX} entries."), "Not shown"));
    }
    if let Some(n) = steps.iter().position(|step| step.trim().is_empty() || step.chars().count() > STEP_MAX_CHARS) {
        let content = format!("Not shown: entry {} of steps is empty or has more than {STEP_MAX_CHARS} characters.", n + 1);
        return Err(ToolError::refused(content, "Not shown"));
    }
    Ok(Output::new(
        "Shown. The person sees the plan and decides how to go on; do not repeat it in your answer.",
        count_of(steps.len(), "step"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_shown_within_its_limits() {
        let plan = |steps: &[&str]| execute(&Args { steps: steps.iter().map(|s| (*s).to_owned()).collect() });
        assert_eq!(plan(&["Read it.", "Change it."]).unwrap().summary, "2 steps");
        assert!(plan(&[]).unwrap_err().to_string().contains("1 to 50"));
        assert!(plan(&["x", " "]).unwrap_err().to_string().contains("entry 2"));
        assert!(plan(&["x"; 51]).is_err());
        assert!(plan(&[&"x".repeat(1001)]).is_err());
    }
}
