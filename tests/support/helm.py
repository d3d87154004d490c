"""Rendered manifests of the chart deploy/helm/jira-audit-relay, by the program helm."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "jira-audit-relay"
NEEDS_HELM = pytest.mark.skipif(
    shutil.which("helm") is None,
    reason="helm is not installed: go install helm.sh/helm/v4/cmd/helm@v4.3.1",
)
SENTINEL = {
    "endpoint": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "rule_id": "dcr-0123456789abcdef0123456789abcdef",
    "credential": "workload-identity",
}
SMALL: Mapping[str, Any] = {
    "settings": {"kafka": {"bootstrap": "k1:9092,k2:9092"}, "destinations": {"sentinel": SENTINEL}}
}
"""The least that an installation sets."""

ODD: Mapping[str, Any] = {
    "vault": {"serviceAccountToken": True, "audience": "https://vault.example.com"},
    "nameOverride": "a-name-that-is-much-longer-than-names-of-pods-can-be",
    "settings": {
        "kafka": {
            "bootstrap": "k1:9093",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "relay",
            "shards": 1000,
        },
        "schema_registry": {"url": "https://registry:8081/apis/ccompat/v7", "auto_register": False},
        "producer": {"interval_seconds": 12.5, "allowed_hosts": ["jira.example.com"]},
        "destinations": {
            "splunk": {
                "endpoint": "https://splunk.example.com",
                "max_body_bytes": 1000000,
                "hide": {"remoteAddress": "mask"},
            },
            "http": {"where": "category = 'a <b> \"c\"'"},
            "kafka": {"topic": "jira"},
        },
    },
    "consumers": {
        "splunk": {
            "destinations": ["splunk"],
            "podLabels": {"team": "soc"},
            "autoscaling": {"kind": "keda", "maxReplicas": 9, "keda": {"serverAddress": "http://p:9090"}},
        },
        "http": {"destinations": ["http"], "autoscaling": {"kind": "hpa", "lagEvents": 5000000}},
    },
    "secrets": {
        "kafka": {
            "secretName": "k",
            "services": ["producer", "consumer", "console", "jobs"],
            "files": {"RELAY_KAFKA__SASL_PASSWORD_FILE": "password"},
        },
        "splunk": {
            "secretProviderClass": "vault",
            "services": ["consumer", "console"],
            "files": {"RELAY_DESTINATIONS__SPLUNK__TOKEN_FILE": "token"},
        },
        "receiver": {
            "secretName": "r",
            "services": ["consumer", "console"],
            "files": {"RELAY_DESTINATIONS__HTTP__URL_FILE": "url"},
            "variables": {"RELAY_KEY_ACME": "acme"},
        },
        "ca": {"configMapName": "ca", "services": ["consumer"], "files": {"SSL_CERT_FILE": "ca.pem"}},
        "jira": {"secretName": "j", "services": ["producer"], "files": {"RELAY_SECRETS__DIRECTORY": ""}},
    },
    "runAsUser": None,
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "podAnnotations": {"a": "b"},
    "imagePullSecrets": [{"name": "pull"}],
    "image": {"digest": "sha256:" + 64 * "0"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "nodeSelector": {"a": "b"},
    "priorityClassName": "high",
    "producer": {"serviceAccount": {"name": "own"}, "podLabels": {"azure.workload.identity/use": "true"}},
    "console": {
        "replicas": 2,
        "publicUrl": "https://relay.example.com",
        "ingress": {"enabled": True, "className": "nginx", "tlsSecretName": "tls", "annotations": {"a": "b"}},
    },
    "metrics": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbookUrl": "https://docs.example.com/alerts/"},
        "dashboards": {"enabled": True},
    },
    "networkPolicy": {"extraEgress": [{"ports": [{"port": 80}]}]},
}
"""A value of nearly every kind."""


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm and return its output, also of a failure."""
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=240, check=False)


def write_values(folder: Path, values: Mapping[str, Any]) -> Path:
    """Write values as a file for helm: as JSON, whose texts are texts in each version of YAML."""
    file = folder / "values.yaml"
    file.write_text(json.dumps(dict(values)), "utf-8")
    return file


def render(folder: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the manifests that the chart makes of these values. Raises ValueError with helm's text when it refuses them."""
    file = write_values(folder, values)
    done = run_helm("template", "relay", CHART, "--namespace", "audit", "--values", file)
    if done.returncode:
        raise ValueError(done.stderr)
    return [each for each in YAML(typ="safe").load_all(done.stdout) if each]


def pods_of(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pod's specification of each deployment and job by its name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests
        if each["kind"] in {"Deployment", "Job"}
    }
