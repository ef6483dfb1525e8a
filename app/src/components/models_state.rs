//! What the administration knows of models while it is open, and what is being changed.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ProviderId,
    models::{ManagedModel, ModelAdmin, ModelChoices, Provider},
};

use crate::{
    api::{self, ApiError},
    ui::{Toasts, use_toasts},
};

/// What stands in the model form.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelTarget {
    /// A new one of a provider, with the provider's name for it where that is known.
    New {
        provider: Option<ProviderId>,
        remote_name: String,
    },
    Existing(Box<ManagedModel>),
}

/// What stands in the provider form.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderTarget {
    New,
    Existing(Box<Provider>),
}

/// What is about to be removed, which can't be taken back.
#[derive(Debug, Clone, PartialEq)]
pub enum Removal {
    Model(Box<ManagedModel>),
    Provider(Box<Provider>),
}

#[derive(Clone, Copy)]
pub struct ModelsDesk {
    pub view: RwSignal<Option<ModelAdmin>>,
    /// Why nothing could be read, or what was refused of a change without a form.
    pub failure: RwSignal<Option<String>>,
    pub provider: RwSignal<Option<ProviderTarget>>,
    pub model: RwSignal<Option<ModelTarget>>,
    pub tested: RwSignal<Option<Provider>>,
    pub versions: RwSignal<Option<ManagedModel>>,
    pub removal: RwSignal<Option<Removal>>,
    pub toasts: Toasts,
}

impl Default for ModelsDesk {
    fn default() -> Self {
        Self::new()
    }
}

impl ModelsDesk {
    pub fn new() -> Self {
        Self {
            view: RwSignal::new(None),
            failure: RwSignal::new(None),
            provider: RwSignal::new(None),
            model: RwSignal::new(None),
            tested: RwSignal::new(None),
            versions: RwSignal::new(None),
            removal: RwSignal::new(None),
            toasts: use_toasts(),
        }
    }

    /// Reads everything again. What is shown stays where that fails.
    pub fn reload(self) {
        spawn_local(async move {
            match api::models::admin_view().await {
                Ok(found) => {
                    if self.view.try_with_untracked(|shown| shown.as_ref() != Some(&found)) == Some(true) {
                        self.view.try_set(Some(found));
                    }
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    pub fn providers(self) -> Vec<Provider> {
        self.view.with(|view| view.as_ref().map(|view| view.providers.clone()).unwrap_or_default())
    }

    pub fn models(self) -> Vec<ManagedModel> {
        self.view.with(|view| view.as_ref().map(|view| view.models.clone()).unwrap_or_default())
    }

    pub fn choices(self) -> ModelChoices {
        self.view.with(|view| view.as_ref().map(|view| view.choices.clone()).unwrap_or_default())
    }

    /// Makes a change without a form, says what came of it and reads everything again.
    pub fn change<T: 'static>(self, said: impl Into<String>, change: impl Future<Output = Result<T, ApiError>> + 'static) {
        let said = said.into();
        self.failure.set(None);
        spawn_local(async move {
            match change.await {
                Ok(_) => self.toasts.show(said),
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
            self.reload();
        });
    }
}
