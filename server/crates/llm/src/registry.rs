use std::sync::Arc;

use crate::{DemoModel, Model, ModelError, ModelInfo, OpenAiConfig, OpenAiModel};

#[derive(Clone, Debug, Default)]
pub struct ModelsConfig {
    pub openai: Option<OpenAiConfig>,
    /// Offer the scripted demonstration.
    pub demo: bool,
    /// Which model answers when nobody picks one; none means the first of the list.
    pub default_model: Option<String>,
}

/// The models people may pick from. Real ones come before the demonstration.
#[derive(Clone, Default)]
pub struct Models {
    models: Vec<Arc<dyn Model>>,
    default_model: Option<String>,
}

impl Models {
    /// Errors: as `OpenAiModel::new`.
    pub fn from_config(config: ModelsConfig) -> Result<Self, ModelError> {
        let mut models: Vec<Arc<dyn Model>> = Vec::new();
        if let Some(openai) = config.openai {
            models.push(Arc::new(OpenAiModel::new(openai)?));
        }
        if config.demo {
            models.push(Arc::new(DemoModel::new()));
        }
        Ok(Self { models, default_model: config.default_model })
    }

    /// Models made elsewhere; the first is the default.
    pub fn from_models(models: Vec<Arc<dyn Model>>) -> Self {
        Self { models, default_model: None }
    }

    pub fn list(&self) -> Vec<ModelInfo> {
        self.models.iter().map(|model| model.describe()).collect()
    }

    /// The model of that name, or the default one. Errors: `NotConfigured` when there is none at all,
    /// `UnknownModel` when none has that name.
    pub fn get(&self, name: Option<&str>) -> Result<Arc<dyn Model>, ModelError> {
        let first = self.models.first().ok_or(ModelError::NotConfigured)?;
        let find = |name: &str| self.models.iter().find(|model| model.name() == name);
        match name.filter(|name| !name.is_empty()) {
            Some(name) => find(name).cloned().ok_or_else(|| ModelError::UnknownModel { name: crate::error::clean_detail(name, None) }),
            None => Ok(self.default_model.as_deref().and_then(find).unwrap_or(first).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_a_real_model_and_refuses_unknown_names() {
        let openai = OpenAiConfig::new("http://127.0.0.1:1/v1".parse().unwrap(), None, "small");
        let mut config = ModelsConfig { openai: Some(openai), demo: true, default_model: None };
        let models = Models::from_config(config.clone()).unwrap();
        assert_eq!(models.get(None).unwrap().name(), "small");
        assert!(models.get(Some("demonstration")).unwrap().describe().is_demo);
        assert!(matches!(models.get(Some("gone")).err(), Some(ModelError::UnknownModel { .. })));
        config.default_model = Some("demonstration".into());
        assert_eq!(Models::from_config(config).unwrap().get(None).unwrap().name(), "demonstration");
        assert_eq!(Models::default().get(None).err(), Some(ModelError::NotConfigured));
    }
}
