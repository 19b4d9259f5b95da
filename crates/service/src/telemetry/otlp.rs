//! What the standard variables `OTEL_*` ask for. The exporters read the rest of them themselves:
//! endpoints, headers, timeouts, compression, batches, limits, samplers.

use anyhow::bail;

/// How a signal goes to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Which signals go to the collector; none unless somebody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Otlp {
    pub(super) traces: Option<Protocol>,
    pub(super) metrics: Option<Protocol>,
}

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

impl Otlp {
    pub(super) fn of_environment() -> anyhow::Result<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Reads the variables; one that is empty is as one that is not set.
    fn of(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        check_sampler(&variable)?;
        check_propagators(&variable)?;
        Ok(Self {
            traces: signal("TRACES", &["otlp", "none"], &variable)?,
            metrics: signal("METRICS", &["otlp", "none", "prometheus"], &variable)?,
        })
    }
}

fn signal(
    name: &str,
    exporters: &[&str],
    variable: &impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Protocol>> {
    let exporter = format!("OTEL_{name}_EXPORTER");
    let is_wanted = match variable(&exporter) {
        None => {
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT"));
            own.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
                .is_some()
        }
        Some(list) => {
            for one in list.split(',').map(str::trim) {
                if !exporters.contains(&one) {
                    bail!(
                        "{exporter}={list}: {one:?} is none of {}",
                        exporters.join(", ")
                    );
                }
            }
            list.split(',').any(|one| one.trim() == "otlp")
        }
    };
    if !is_wanted {
        return Ok(None);
    }
    let own = format!("OTEL_EXPORTER_OTLP_{name}_PROTOCOL");
    let (named, protocol) = match variable(&own) {
        Some(protocol) => (own.as_str(), protocol),
        None => {
            let named = "OTEL_EXPORTER_OTLP_PROTOCOL";
            let protocol = variable(named);
            (
                named,
                protocol.unwrap_or_else(|| "http/protobuf".to_owned()),
            )
        }
    };
    match protocol.as_str() {
        "grpc" => Ok(Some(Protocol::Grpc)),
        "http/protobuf" => Ok(Some(Protocol::HttpProtobuf)),
        _ => bail!("{named}={protocol} is neither grpc nor http/protobuf"),
    }
}

fn check_sampler(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let Some(sampler) = variable("OTEL_TRACES_SAMPLER") else {
        return Ok(());
    };
    if !SAMPLERS.contains(&sampler.as_str()) {
        bail!(
            "OTEL_TRACES_SAMPLER={sampler} is none of {}",
            SAMPLERS.join(", ")
        );
    }
    if sampler.ends_with("traceidratio") {
        let share = variable("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
        if !share
            .parse()
            .is_ok_and(|share: f64| (0.0..=1.0).contains(&share))
        {
            bail!("OTEL_TRACES_SAMPLER_ARG={share} is no number from 0 to 1");
        }
    }
    Ok(())
}

/// W3C's is the only one that events carry.
fn check_propagators(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let propagators = variable("OTEL_PROPAGATORS").unwrap_or_else(|| "tracecontext".to_owned());
    match propagators
        .split(',')
        .any(|one| one.trim() == "tracecontext")
    {
        true => Ok(()),
        false => bail!("OTEL_PROPAGATORS={propagators}: only tracecontext is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> anyhow::Result<Otlp> {
        Otlp::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn nothing_is_sent_unless_somebody_names_a_collector() {
        let off = Otlp::default();
        assert_eq!(of(&[]).unwrap(), off);
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap(), off);
        assert_eq!(of(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]).unwrap(), off);
        let none = [
            ENDPOINT,
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
        ];
        assert_eq!(of(&none).unwrap(), off);
    }

    #[test]
    fn each_signal_goes_as_its_variables_say() {
        let both = |protocol| Otlp {
            traces: Some(protocol),
            metrics: Some(protocol),
        };
        assert_eq!(of(&[ENDPOINT]).unwrap(), both(Protocol::HttpProtobuf));
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert_eq!(of(&[ENDPOINT, grpc]).unwrap(), both(Protocol::Grpc));
        let own = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf");
        let mixed = of(&[ENDPOINT, grpc, own]).unwrap();
        assert_eq!(mixed.traces, Some(Protocol::Grpc));
        assert_eq!(mixed.metrics, Some(Protocol::HttpProtobuf));
        let traces = of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/v1/traces")]).unwrap();
        assert_eq!((traces.traces.is_some(), traces.metrics), (true, None));
        assert!(
            of(&[("OTEL_TRACES_EXPORTER", "otlp")])
                .unwrap()
                .traces
                .is_some()
        );
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_METRICS_EXPORTER", "otlp,console"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_PROPAGATORS", "b3"),
        ] {
            let error = of(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains(value.rsplit(',').next().unwrap()),
                "{error}"
            );
        }
        let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        let error = of(&[ratio, ("OTEL_TRACES_SAMPLER_ARG", "2")]).unwrap_err();
        assert!(
            error.to_string().contains("OTEL_TRACES_SAMPLER_ARG"),
            "{error}"
        );
    }
}
