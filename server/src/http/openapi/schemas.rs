//! The types of the document. What is sent and what is answered are described apart, because a field that may be left out of a
//! request is always there in an answer; where that makes a difference, the request's type has a name of its own.

use std::collections::BTreeSet;

use schemars::{
    SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value};

use super::signature::Shape;

const PREFIX: &str = "#/components/schemas/";

pub struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

fn generator(contract: Contract) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.contract = contract;
    });
    settings.into_generator()
}

impl Schemas {
    pub fn new() -> Self {
        Self { taken: generator(Contract::Deserialize), given: generator(Contract::Serialize) }
    }

    /// Of a request's body, or of a value in its path.
    pub fn taken(&mut self, shape: Shape) -> Value {
        tidy((shape.named)(&mut self.taken).to_value())
    }

    /// Of values in a path or in a query: never `null`.
    pub fn asked(&mut self, shape: Shape) -> Value {
        let mut schema = tidy((shape.plain)(&mut self.taken).to_value());
        for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            drop_null(property);
        }
        schema
    }

    /// Of an answer's body.
    pub fn given(&mut self, shape: Shape) -> Value {
        tidy((shape.named)(&mut self.given).to_value())
    }

    pub fn taken_as<T: schemars::JsonSchema>(&mut self) -> Value {
        tidy(self.taken.subschema_for::<T>().to_value())
    }

    pub fn given_as<T: schemars::JsonSchema>(&mut self) -> Value {
        tidy(self.given.subschema_for::<T>().to_value())
    }

    /// All types by name, and the names of those that requests write differently.
    pub fn finish(mut self) -> (Map<String, Value>, Differing) {
        let mut given = tidy_all(self.given.take_definitions(true));
        let taken = tidy_all(self.taken.take_definitions(true));
        let differing = Differing(find_differing(&taken, &given));
        for (name, mut schema) in taken {
            differing.rename_in(&mut schema);
            given.entry(differing.name_of(&name)).or_insert(schema);
        }
        (given, differing)
    }
}

/// Names of types that are not the same in a request as in an answer.
pub struct Differing(BTreeSet<String>);

impl Differing {
    fn name_of(&self, name: &str) -> String {
        if self.0.contains(name) { format!("{name}Input") } else { name.to_owned() }
    }

    /// Makes the references of a request point at the request's types.
    pub fn rename_in(&self, value: &mut Value) {
        each_reference(value, &mut |reference| {
            if let Some(name) = reference.strip_prefix(PREFIX) {
                *reference = format!("{PREFIX}{}", self.name_of(name));
            }
        });
    }
}

/// Those that are written differently, and those that lead to one of them.
fn find_differing(taken: &Map<String, Value>, given: &Map<String, Value>) -> BTreeSet<String> {
    let both = || taken.iter().filter(|(name, _)| given.contains_key(*name));
    let mut found: BTreeSet<String> = both().filter(|(name, schema)| given[*name] != **schema).map(|(name, _)| name.clone()).collect();
    loop {
        let before = found.len();
        for (name, schema) in both() {
            let mut schema = schema.clone();
            let mut leads = false;
            each_reference(&mut schema, &mut |reference| leads |= reference.strip_prefix(PREFIX).is_some_and(|name| found.contains(name)));
            if leads {
                found.insert(name.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn each_reference(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => visit(text),
                    other => each_reference(other, visit),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, visit)),
        _ => {}
    }
}

fn tidy_all(definitions: Map<String, Value>) -> Map<String, Value> {
    definitions.into_iter().map(|(name, schema)| (name, tidy(schema))).collect()
}

/// Comments of the code name other code in brackets, and a description is one paragraph.
fn tidy(mut schema: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(text)) = map.get_mut("description") {
                    *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
                }
                map.values_mut().for_each(walk);
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut schema);
    schema
}

/// In an address a value is there or it is not.
fn drop_null(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(options)) = map.get_mut("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = options.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            map.extend(only);
        }
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}
