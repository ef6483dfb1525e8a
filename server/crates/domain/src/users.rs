use wire::{
    FieldError, limits,
    users::{UpdateMe, User},
};

use crate::{Ctx, Error, Result};

/// Whether anybody has an account yet. Everybody may ask: the sign-up page says that the first account administers.
pub async fn any_exist(ctx: &Ctx) -> Result<bool> {
    Ok(store::users::any_exist(&mut ctx.services().db.read().await?).await?)
}

pub async fn me(ctx: &Ctx) -> Result<User> {
    ctx.require_user().cloned()
}

pub async fn update_me(ctx: &Ctx, request: UpdateMe) -> Result<User> {
    let mut user = ctx.require_user()?.clone();
    if let Some(name) = request.full_name {
        let name = name.trim();
        if name.len() > limits::FULL_NAME_MAX || name.chars().any(char::is_control) {
            return Err(Error::Invalid(vec![FieldError::new("full_name", "Use at most 120 bytes and no control characters.")]));
        }
        user.full_name = (!name.is_empty()).then(|| name.to_owned());
        let mut tx = ctx.services().db.begin().await?;
        store::users::update_full_name(&mut tx, user.id, user.full_name.as_deref()).await?;
        ctx.commit(tx).await?;
    }
    Ok(user)
}
