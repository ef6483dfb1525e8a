//! The clients that models are asked through, kept so that connections are used again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    Ctx, Error,
    models::{self, ProviderAddress, RemoteModels, ResolvedModel},
};
use llm::{ApiKey, HostPolicy, Model, ModelError, Spec};
use wire::models::ProviderKind;

/// Clients that are kept; beyond it the one that was unused for longest goes.
const KEPT: usize = 64;
/// Longest silence within an answer.
const STALL: Duration = Duration::from_secs(60);

/// Connects to models; one per worker. Two calls of one model with one key share a client.
pub struct Pool {
    first_byte: Duration,
    /// The one used last stands last.
    clients: Mutex<Vec<(Spec, Arc<dyn Model>)>>,
}

impl Pool {
    /// `first_byte` is the longest wait for an answer to begin.
    pub fn new(first_byte: Duration) -> Self {
        Self { first_byte, clients: Mutex::default() }
    }

    /// A client for that model. Nothing is sent yet. Errors: as `llm::connect`.
    pub fn connect(&self, model: &ResolvedModel) -> Result<Arc<dyn Model>, ModelError> {
        let spec = self.spec(model)?;
        let mut clients = self.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let client = match clients.iter().position(|(known, _)| *known == spec) {
            Some(at) => clients.remove(at).1,
            None => llm::connect(&spec)?,
        };
        if clients.len() >= KEPT {
            clients.remove(0);
        }
        clients.push((spec, client.clone()));
        Ok(client)
    }

    /// The model that answers in place of one that failed, with a client for it; `None` where there is none that can be asked.
    pub async fn backup(&self, ctx: &Ctx, failed: &ResolvedModel) -> Result<Option<(ResolvedModel, Arc<dyn Model>)>, Error> {
        let Some(model) = models::backup(ctx, failed).await? else { return Ok(None) };
        match self.connect(&model) {
            Ok(client) => Ok(Some((model, client))),
            Err(error) => {
                tracing::warn!(model = model.name, %error, "the backup model can't be asked");
                Ok(None)
            }
        }
    }

    fn spec(&self, model: &ResolvedModel) -> Result<Spec, ModelError> {
        let address = ProviderAddress {
            kind: model.kind,
            base_url: model.base_url.clone(),
            key: model.key.clone(),
            trusted_host: model.trusted_host,
        };
        Ok(Spec {
            model: model.remote_name.clone(),
            shown: model.name.clone(),
            context_tokens: u32::try_from(model.context_tokens).ok(),
            images: model.images,
            ..spec_of(&address, self.first_byte)?
        })
    }
}

fn spec_of(at: &ProviderAddress, first_byte: Duration) -> Result<Spec, ModelError> {
    let refuse = |detail: &str| ModelError::BadRequest { detail: detail.to_owned() };
    let base_url = at.base_url.parse().map_err(|_| refuse("the provider's address can't be read"))?;
    let key = at.key.as_ref().map(|key| String::from_utf8(key.0.clone())).transpose().map_err(|_| refuse("the key is no text"))?;
    let hosts = HostPolicy { allowed: Vec::new(), private: at.trusted_host };
    Ok(Spec { first_byte, stall: STALL, hosts, ..Spec::new(at.kind, base_url, key.map(ApiKey::new), "") })
}

#[async_trait]
impl RemoteModels for Pool {
    async fn list(&self, at: ProviderAddress) -> Result<Vec<String>, String> {
        if at.kind == ProviderKind::Demo {
            return Err("The demonstration is built in; there is nothing to ask.".to_owned());
        }
        let spec = spec_of(&at, self.first_byte).map_err(|error| error.sentence())?;
        llm::list_models(&spec).await.map_err(|error| error.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Secret;

    fn model(key: &str, name: &str) -> ResolvedModel {
        ResolvedModel {
            name: name.to_owned(),
            version_id: uuid::Uuid::nil().into(),
            kind: ProviderKind::OpenaiChat,
            base_url: "http://127.0.0.1:9/v1".to_owned(),
            remote_name: name.to_owned(),
            key: Some(Secret(key.as_bytes().to_vec())),
            context_tokens: 8192,
            max_output: 1024,
            images: false,
            prices: wire::models::Prices::default(),
            temperature: 0.2,
            reasoning: None,
            is_demo: false,
            trusted_host: true,
        }
    }

    #[test]
    fn a_client_is_shared_by_what_reaches_the_same_with_the_same_key() {
        let pool = Pool::new(Duration::from_secs(1));
        let first = pool.connect(&model("one", "a")).unwrap();
        assert!(Arc::ptr_eq(&first, &pool.connect(&model("one", "a")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &pool.connect(&model("two", "a")).unwrap()), "another key is another client");
        for n in 0..KEPT {
            pool.connect(&model("one", &format!("m{n}"))).unwrap();
        }
        assert_eq!(pool.clients.lock().unwrap().len(), KEPT);
        assert!(!Arc::ptr_eq(&first, &pool.connect(&model("one", "a")).unwrap()), "the one unused for longest went");
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused() {
        let broken = ResolvedModel { base_url: "no address".to_owned(), ..model("k", "a") };
        assert!(matches!(Pool::new(STALL).connect(&broken).err(), Some(ModelError::BadRequest { .. })));
    }
}
