use super::*;

fn load(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_sources(Sources::of_values(values.iter().copied()))
}

#[test]
fn every_wrong_value_is_reported_at_once_by_name_and_without_its_content() {
    let error = load(&[
        ("APP_ENV", "production"),
        ("JWT_SECRET_KEY", "changeme-hunter2-changeme-hunter2"),
        ("APP_PORT", "99999"),
        ("REGISTRATION", "sometimes"),
        ("STORAGE_FILE_SIZE_LIMIT", "lots"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("OPENAI_API_KEY", "sk-hunter2"),
    ])
    .unwrap_err();
    let names: Vec<_> = error.0.iter().map(|w| w.name.as_str()).collect();
    for expected in
        ["JWT_SECRET_KEY", "APP_PORT", "REGISTRATION", "STORAGE_FILE_SIZE_LIMIT", "TRUSTED_PROXIES", "DATABASE_URL", "AI_DEFAULT_MODEL"]
    {
        assert!(names.contains(&expected), "{expected} is missing in {names:?}");
    }
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn production_needs_a_secret_and_development_makes_one_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let refused = load(&[("APP_ENV", "production"), ("DATA_DIR", data)]).unwrap_err();
    let names: Vec<_> = refused.0.iter().map(|wrong| wrong.name.as_str()).collect();
    assert_eq!(names, ["JWT_SECRET_KEY", "SECRET_KEY"]);
    assert!(!std::path::Path::new(data).exists(), "a refused configuration leaves nothing behind");

    let first = load(&[("DATA_DIR", data)]).unwrap();
    let second = load(&[("DATA_DIR", data)]).unwrap();
    assert_eq!(first.auth.jwt_secret, second.auth.jwt_secret);
    assert!(first.auth.jwt_secret.expose().len() >= 64);
    assert_eq!(first.auth.seal_secret, second.auth.seal_secret);
    assert_ne!(first.auth.seal_secret, first.auth.jwt_secret);
    let given = load(&[("DATA_DIR", data), ("SECRET_KEY", "a seal of its own")]).unwrap();
    assert_eq!(given.auth.seal_secret.expose(), "a seal of its own");
    let shared = load(&[("JWT_SECRET_KEY", "shared by two processes")]).unwrap();
    assert_eq!(shared.auth.seal_secret, shared.auth.jwt_secret, "who shares one secret opens what the other sealed");
}

#[test]
fn what_is_printed_masks_secrets() {
    let config = load(&[
        ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789"),
        ("DATABASE_URL", "postgresql://app:hunter2@db/app"),
        ("OPENAI_API_KEY", "sk-hunter2"),
        ("AI_DEFAULT_MODEL", "small"),
    ])
    .unwrap();
    let text = config.describe();
    assert!(!text.contains("hunter2") && !text.contains("0123456789"), "{text}");
    assert!(text.contains("postgresql://app:***@db/app"));
    assert!(!format!("{config:?}").contains("sk-hunter2"));
}

#[test]
fn what_is_set_and_read_by_nothing_is_said() {
    let config = load(&[
        ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789"),
        ("DB_MAX_OVERFLOW", "hunter2"),
        ("APP_PUBLC_URL", "https://hunter2.example.org"),
        ("PATH", "/usr/bin"),
        ("HOME", "/home/app"),
    ])
    .unwrap();
    let text = config.describe();
    let (_, unread) = text.split_once("Set but read by nothing:\n").unwrap();
    let names: Vec<_> = unread.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["APP_PUBLC_URL", "DB_MAX_OVERFLOW"], "what is no business of ours is left out");
    assert!(unread.contains("APP_PUBLIC_URL is a setting; was that meant?") && unread.contains("DB_POOL_SIZE"), "{unread}");
    assert!(!text.contains("hunter2"));
    assert!(!load(&[("JWT_SECRET_KEY", "0123456789012345678901234567890123456789")]).unwrap().describe().contains("read by nothing"));
    for (name, _) in source::UNREAD {
        assert!(!source::SETTINGS.iter().any(|(known, ..)| known == name), "{name} is read");
    }
}

#[test]
fn slips_of_the_pen_are_known_from_other_names() {
    for slip in ["AI_DEFAULT_MODL", "AI_DEFAULT_MODELS", "AI_DEFUALT_MODEL", "AI-DEFAULT_MODEL", "ai_default_model"] {
        assert!(source::is_slip_of("AI_DEFAULT_MODEL", slip), "{slip}");
    }
    for other in ["AI_BACKUP_MODEL", "AI_DEFAULT", "DEFAULT_MODEL", "AI_DEFAULT_MOEDLS"] {
        assert!(!source::is_slip_of("AI_DEFAULT_MODEL", other), "{other}");
    }
    assert!(!source::is_slip_of("APP_ENV", "APP"), "something of its own");
}

#[test]
fn a_secret_of_digits_keeps_every_digit() {
    let digits = "00123456789012345678901234567890123456789";
    let config = load(&[("JWT_SECRET_KEY", digits)]).unwrap();
    assert_eq!(config.auth.jwt_secret.expose(), digits);
}

#[test]
fn sizes_and_networks_are_read() {
    let config = load(&[
        ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789"),
        ("STORAGE_FILE_SIZE_LIMIT", "2 MiB"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
    ])
    .unwrap();
    assert_eq!(config.file_size_limit, 2 << 20);
    let [net, one] = config.http.trusted_proxies[..] else { panic!("two networks") };
    assert!(net.contains("10.200.1.1".parse().unwrap()) && !net.contains("11.0.0.1".parse().unwrap()));
    assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
}

#[test]
fn s3_storage_is_named_whole_or_not_at_all() {
    let secret = ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789");
    let config = load(&[secret]).unwrap();
    assert!(config.storage.s3.is_none() && config.storage.default == blobs::Backend::Local);
    let key = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let s3 = [("STORAGE_BACKEND", "s3"), ("AWS_S3_BUCKET", "files"), ("AWS_S3_ENDPOINT_URL", "http://minio:9000")];
    let config = load(&[&[secret], &key[..], &s3[..]].concat()).unwrap();
    assert_eq!(config.storage.default, blobs::Backend::S3);
    let found = config.storage.s3.clone().unwrap();
    assert_eq!((found.bucket.as_str(), found.region.as_str(), found.cache_size), ("files", "us-east-1", 2 << 30));
    assert!(!config.describe().contains("hunter2") && !format!("{config:?}").contains("hunter2"));

    for (wrong, name) in [
        (&[("STORAGE_BACKEND", "s3")][..], "AWS_S3_BUCKET"),
        (&[("STORAGE_BACKEND", "ftp")], "STORAGE_BACKEND"),
        (&[("AWS_S3_BUCKET", "a/b")], "AWS_S3_BUCKET"),
        (&[("AWS_S3_BUCKET", "files"), ("AWS_ACCESS_KEY_ID", "id")], "AWS_SECRET_ACCESS_KEY"),
        (&[("AWS_S3_BUCKET", "files"), ("AWS_SECRET_ACCESS_KEY", "hunter2")], "AWS_ACCESS_KEY_ID"),
        (&[("AWS_S3_ENDPOINT_URL", "minio:9000")], "AWS_S3_ENDPOINT_URL"),
    ] {
        let refused = load(&[&[secret], wrong].concat()).unwrap_err();
        assert!(refused.0.len() == 1 && refused.0[0].name == name, "{name}: {refused}");
    }
}

#[test]
fn worker_settings_are_read_and_checked() {
    let secret = ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789");
    let config = load(&[secret]).unwrap();
    assert_eq!((config.worker.timeout.as_secs(), config.worker.max_jobs, config.worker.log_filter), (300, Some(1000), None));
    assert!(config.redis.events.is_none() && config.redis.signals.is_none());
    let config = load(&[
        secret,
        ("WORKER_TIMEOUT", "7"),
        ("WORKER_MAX_JOBS", "0"),
        ("WORKER_LOG_LEVEL", "WARNING"),
        ("WORK_DIR", "/srv/one"),
        ("REDIS_URL", "redis://app:hunter2@cache:6379/3"),
    ])
    .unwrap();
    assert_eq!((config.worker.timeout.as_secs(), config.worker.max_jobs), (7, None));
    assert_eq!(config.worker.log_filter.as_deref(), Some("warn"));
    assert_eq!(config.work_dir(), std::path::Path::new("/srv/one"));
    assert_eq!(config.redis.signals, config.redis.events, "one Redis carries both");
    assert!(!config.describe().contains("hunter2") && !format!("{config:?}").contains("hunter2"));

    let config = load(&[secret, ("RQ_REDIS_URL", "redis://queue")]).unwrap();
    assert!(config.redis.events.is_none());
    assert_eq!(config.redis.signals.unwrap().expose(), "redis://queue");

    let wrong = [
        ("WORKER_TIMEOUT", "0"),
        ("WORKER_MAX_JOBS", "many"),
        ("WORKER_LOG_LEVEL", "a=b=c"),
        ("SANDBOX_OPEN_ADDRESSES", "10.0.0.0/8,mirror"),
        ("REDIS_URL", "rediss://cache"),
        ("RQ_REDIS_URL", "http://cache"),
    ];
    let refused = load(&[&[secret], &wrong[..]].concat()).unwrap_err();
    for (name, _) in wrong {
        assert!(refused.0.iter().any(|w| w.name == name), "{name} is missing in {refused}");
    }
}

#[test]
fn previews_have_ports_or_names() {
    let secret = ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789");
    let previews = |values: &[(&str, &str)]| load(&[&[secret], values].concat()).map(|config| config.previews);
    assert_eq!(previews(&[]).unwrap().ports, Some(8100..=8131));
    assert_eq!(previews(&[("PREVIEW_PORTS", "off")]).unwrap().ports, None);
    assert_eq!(previews(&[("PREVIEW_PORTS", "9000")]).unwrap().ports, Some(9000..=9000));
    assert_eq!(previews(&[("PREVIEW_DOMAIN", "Preview.Example.org")]).unwrap().domain.as_deref(), Some("preview.example.org"));
    for wrong in [
        ("PREVIEW_PORTS", "8131-8100"),
        ("PREVIEW_PORTS", "0-5"),
        ("PREVIEW_PORTS", "1-65535"),
        ("PREVIEW_PORTS", "many"),
        ("PREVIEW_PORTS", "7990-8010"),
        ("PREVIEW_DOMAIN", "localhost"),
        ("PREVIEW_DOMAIN", "10.0.0.1"),
        ("PREVIEW_DOMAIN", "preview.example.org:8000"),
        ("PREVIEW_DOMAIN", "*.example.org"),
        ("PREVIEW_DOMAIN", "code.example.org"),
    ] {
        let error = previews(&[("APP_PUBLIC_URL", "https://code.example.org"), wrong]).unwrap_err();
        assert!(error.0.len() == 1 && error.0[0].name == wrong.0, "{wrong:?}: {error}");
    }
}

#[test]
fn the_example_file_lists_every_setting_with_its_default() {
    let example = include_str!("../../../.env.example");
    for (name, default, _) in source::SETTINGS {
        assert!(example.lines().any(|line| line.trim_start_matches("# ") == format!("{name}={default}")), "{name}={default}");
    }
}

#[test]
fn only_a_first_start_is_a_trial_and_settings_win() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, more: &[(&str, &str)]| {
        let data = folder.path().join(name);
        let own = [("DATA_DIR", data.to_str().unwrap()), ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789")];
        load(&[&own[..], more].concat()).unwrap().for_trial()
    };
    let first = start("new", &[]);
    assert!(first.dev_seed_data && first.log.format == LogFormat::Text);
    std::fs::write(folder.path().join("new/cloudxdevai.db"), "").unwrap();
    assert!(start("new", &[]).dev_seed_data, "what began as a trial stays one");
    assert!(!start("new", &[("DEV_SEED_DATA", "false")]).dev_seed_data);

    std::fs::create_dir(folder.path().join("old")).unwrap();
    std::fs::write(folder.path().join("old/cloudxdevai.db"), "").unwrap();
    assert!(!start("old", &[]).dev_seed_data, "what is there already does not become one");
    let elsewhere = start("elsewhere", &[("DATABASE_URL", "postgresql://app@db/app"), ("LOG_FORMAT", "json")]);
    assert!(!elsewhere.dev_seed_data && elsewhere.log.format == LogFormat::Json);
    let production = start("production", &[("APP_ENV", "production"), ("SECRET_KEY", "9876543210987654321098765432109876543210")]);
    assert!(!production.dev_seed_data);
    for name in ["old", "elsewhere", "production"] {
        assert!(!folder.path().join(name).join("trial").exists(), "{name}");
    }
}

#[test]
fn the_greeting_names_an_address_that_can_be_opened() {
    let secret = ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789");
    let greeting = |listening: &str, more: &[(&str, &str)]| load(&[&[secret], more].concat()).unwrap().greeting(listening.parse().unwrap());
    assert!(greeting("0.0.0.0:9000", &[]).contains(" http://127.0.0.1:9000 "));
    assert!(greeting("[::]:9000", &[]).contains(" http://[::1]:9000 "));
    assert!(greeting("10.0.0.7:80", &[]).contains(" http://10.0.0.7:80 "));
    assert!(greeting("0.0.0.0:9000", &[("APP_PUBLIC_URL", "https://code.example.org")]).contains(" https://code.example.org "));
}

#[test]
fn models_belong_to_the_provider_that_their_name_says() {
    let keys = [
        ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789"),
        ("OPENAI_API_KEY", "sk-hunter2"),
        ("ANTHROPIC_API_KEY", "ant-hunter2"),
        ("OLLAMA_BASE_URL", "http://localhost:11434/"),
    ];
    let models = |more: &[(&str, &str)]| load(&[&keys[..], more].concat()).map(|config| config.models);
    let named = |config: &ModelConfig| -> Vec<(String, Vec<String>)> {
        let names = |p: &domain::models::EnvironmentProvider| p.models.iter().map(|(name, _)| name.clone()).collect();
        config.providers.iter().map(|p| (p.env_name.clone(), names(p))).collect()
    };
    let config =
        models(&[("AI_DEFAULT_MODEL", "claude-sonnet"), ("AI_BACKUP_MODEL", "ollama:qwen3:8b"), ("AI_MAX_TOKENS", "900")]).unwrap();
    assert_eq!((config.default_model.as_deref(), config.backup_model.as_deref()), (Some("claude-sonnet"), Some("qwen3:8b")));
    let expected = [("openai", vec![]), ("anthropic", vec!["claude-sonnet"]), ("ollama", vec!["qwen3:8b"])];
    let expected: Vec<_> = expected.map(|(p, m)| (p.to_owned(), m.into_iter().map(str::to_owned).collect::<Vec<_>>())).into();
    assert_eq!(named(&config), expected);
    let (_, settings) = &config.providers[1].models[0];
    assert_eq!((settings.max_output, settings.temperature, settings.images), (900, 0.2, true));
    assert!(!format!("{config:?}").contains("hunter2"));

    let plain = models(&[("AI_DEFAULT_MODEL", "house-model")]).unwrap();
    assert_eq!(named(&plain)[0].1, ["house-model"], "the first that is configured");
    for (name, value) in
        [("AI_DEFAULT_MODEL", "gemini:pro"), ("AI_TEMPERATURE", "2.5"), ("AI_MAX_TOKENS", "0"), ("AI_ALLOWED_HOSTS", "https://a.org/x")]
    {
        let refused = models(&[("AI_DEFAULT_MODEL", "m"), (name, value)]).unwrap_err();
        assert!(refused.0.iter().any(|wrong| wrong.name == name), "{name}: {refused}");
    }
}
