use std::time::Duration;

use super::cache::Cache;
use super::error::ConfigError;
use super::limits::{MAX_BATCH, MAX_EXCHANGE_GRACE, MAX_PLAINTEXT_LENGTH};
use super::settings::Settings;
use crate::token::{MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH};

impl Settings {
    /// Returns the first setting that is invalid, as an error.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_plaintext = self.schemes.newest().is_plaintext();
        let longest = if is_plaintext { MAX_PLAINTEXT_LENGTH } else { MAX_TOKEN_LENGTH };
        if !(MIN_TOKEN_LENGTH..=longest).contains(&self.formats.new.length()) {
            return Err(ConfigError::TokenLength { longest });
        }
        let mut schemes = self.schemes.as_slice().iter();
        if let Some(adopted) = schemes.find(|scheme| scheme.is_adopted())
            && !self.formats.accept_plain()
        {
            return Err(ConfigError::AdoptedWithoutFormat { name: adopted.name().into_owned() });
        }
        let spans = [
            ("ttl", self.ttl),
            ("max_lifetime", self.max_lifetime),
            ("record_seen", self.record_seen),
            ("audit_retention", self.audit_retention),
            ("timeout", self.timeout),
        ];
        for (setting, span) in spans {
            if span.is_some_and(|span| span < Duration::from_micros(1)) {
                return Err(ConfigError::ZeroSpan { setting });
            }
        }
        if self.exchange_grace > MAX_EXCHANGE_GRACE {
            return Err(ConfigError::ExchangeGrace);
        }
        if !(1..=MAX_BATCH).contains(&self.max_batch) {
            return Err(ConfigError::MaxBatch);
        }
        if self.max_in_flight == Some(0) {
            return Err(ConfigError::MaxInFlight);
        }
        self.cache.map_or(Ok(()), Cache::check)?;
        if let (Some(extend_after), Some(ttl)) = (self.extend_after, self.ttl)
            && extend_after >= ttl
        {
            return Err(ConfigError::ExtendAfter { extend_after, ttl });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Config, DAY};
    use super::*;
    use crate::token::{Hashing, Key, Reading, Scheme, TokenFormat};

    #[test]
    fn a_token_length_out_of_bounds_is_refused() {
        let build = |length| Config::builder().token_length(length).build();
        assert!(build(22).is_ok() && build(4096).is_ok());
        assert!(matches!(build(21), Err(ConfigError::TokenLength { .. })));
        assert!(matches!(build(4097), Err(ConfigError::TokenLength { .. })));
    }

    #[test]
    fn the_tokens_of_another_system_need_a_format_without_a_prefix() {
        let adopted = || Scheme::adopted("knox", Reading::of(Hashing::Sha512));
        let config = || Config::builder().digests([Scheme::sha256(), adopted()]);
        let live = || TokenFormat::prefixed("acme_live").unwrap();
        assert!(config().build().is_ok());
        assert!(config().token_format(live()).accept_formats([TokenFormat::default()]).build().is_ok());
        let refused = config().token_format(live()).build().unwrap_err();
        assert_eq!(refused, ConfigError::AdoptedWithoutFormat { name: "knox".to_owned() });
        assert!(refused.to_string().contains("accept_formats"), "{refused}");
    }

    #[test]
    fn a_plaintext_token_must_fit_its_column() {
        let build =
            |length| Config::builder().hashing(Hashing::DangerousPlaintext).token_length(length).build();
        assert!(build(255).is_ok());
        assert_eq!(build(256).unwrap_err(), ConfigError::TokenLength { longest: 255 });
    }

    #[test]
    fn a_salt_without_hashing_is_refused_even_when_empty() {
        for salt in ["pepper", ""] {
            let config = Config::builder().hashing(Hashing::DangerousPlaintext).secret_salt(salt);
            assert_eq!(config.build().unwrap_err(), ConfigError::SaltWithoutHashing);
        }
    }

    #[test]
    fn an_empty_salt_is_refused() {
        let config = Config::builder().secret_salt("");
        assert_eq!(config.build().unwrap_err(), ConfigError::EmptySalt);
    }

    #[test]
    fn a_list_of_schemes_that_cannot_be_told_apart_or_written_is_refused() {
        let build = |schemes: Vec<Scheme>| Config::builder().digests(schemes).build();
        let key = Key::generate().unwrap();
        let hmac = |name: &'static str| Scheme::hmac_sha256(name, &key);
        let adopted = || Scheme::adopted("old", Reading::of(Hashing::Sha256));
        for (schemes, error) in [
            (vec![], ConfigError::SchemeCount),
            (vec![Scheme::sha256(); 9], ConfigError::SchemeCount),
            (vec![hmac("")], ConfigError::SchemeName { name: String::new() }),
            (vec![hmac("a$b")], ConfigError::SchemeName { name: "a$b".into() }),
            (vec![hmac("a"), hmac("b"), hmac("A")], ConfigError::SchemeTwice { name: "A".into() }),
            (vec![hmac("old"), adopted()], ConfigError::SchemeTwice { name: "old".into() }),
            (vec![adopted(), hmac("a")], ConfigError::AdoptedFirst { name: "old".into() }),
            (vec![Scheme::salted(Hashing::Sha256, "")], ConfigError::EmptySalt),
            (vec![Scheme::salted(Hashing::DangerousPlaintext, "a")], ConfigError::SaltWithoutHashing),
        ] {
            assert_eq!(build(schemes).unwrap_err(), error);
        }
        let config = build(vec![hmac("a"), hmac("b"), adopted(), Scheme::sha256()]).unwrap();
        assert_eq!(
            config.digests().iter().map(Scheme::name).collect::<Vec<_>>(),
            ["a", "b", "old", "sha256"]
        );
    }

    #[test]
    fn the_digests_are_set_in_one_way_only() {
        for builder in [Config::builder().hashing(Hashing::Sha512), Config::builder().secret_salt("pepper")] {
            assert_eq!(builder.digests([Scheme::sha256()]).build().unwrap_err(), ConfigError::DigestsTwice);
        }
    }

    #[test]
    fn an_extension_threshold_must_lie_under_the_time_to_live() {
        let build = |extend_after| Config::builder().ttl(2 * DAY).extend_after(extend_after).build();
        assert!(build(DAY).is_ok());
        assert!(matches!(build(2 * DAY), Err(ConfigError::ExtendAfter { .. })));
    }

    #[test]
    fn a_span_of_nothing_is_refused() {
        assert!(matches!(
            Config::builder().ttl(Duration::ZERO).build(),
            Err(ConfigError::ZeroSpan { setting: "ttl" })
        ));
        assert!(Config::builder().max_lifetime(Duration::ZERO).build().is_err());
        assert!(matches!(
            Config::builder().record_seen(Duration::ZERO).build(),
            Err(ConfigError::ZeroSpan { setting: "record_seen" })
        ));
        assert!(Config::builder().timeout(Duration::ZERO).build().is_err());
    }

    #[test]
    fn a_grace_is_a_day_at_most() {
        let build = |grace| Config::builder().exchange_grace(grace).build();
        assert_eq!(build(Duration::ZERO).unwrap().exchange_grace(), Duration::ZERO);
        assert!(build(DAY).is_ok());
        let error = build(DAY + Duration::from_micros(1)).unwrap_err();
        assert_eq!(error, ConfigError::ExchangeGrace);
        assert_eq!(error.to_string(), "exchange_grace must be at most a day");
    }

    #[test]
    fn a_batch_has_one_caller_at_least_and_no_more_than_a_statement_can_take() {
        let build = |callers| Config::builder().max_batch(callers).build();
        assert_eq!(Config::default().max_batch(), 256);
        assert_eq!(build(1).unwrap().max_batch(), 1);
        assert_eq!(build(4096).unwrap().max_batch(), 4096);
        for callers in [0, 4097, 5000, usize::MAX] {
            let error = build(callers).unwrap_err();
            assert_eq!(error, ConfigError::MaxBatch);
            assert_eq!(error.to_string(), "max_batch must be at least 1 and at most 4096");
        }
    }

    #[test]
    fn one_statement_at_least_may_be_out() {
        let build = |statements| Config::builder().max_in_flight(statements).build();
        assert_eq!(Config::default().max_in_flight(), None);
        assert_eq!(build(1).unwrap().max_in_flight(), Some(1));
        let error = build(0).unwrap_err();
        assert_eq!(error, ConfigError::MaxInFlight);
        assert_eq!(error.to_string(), "max_in_flight must be at least 1");
    }
}
