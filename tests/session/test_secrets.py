"""Secrets are in keys, and nowhere else: no manifest, log line or event shows them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from laboratory import Built, Lab
from omegaconf import OmegaConf
from projects import Project

pytest_plugins = ("lab_fixture",)

SECRET = "hunter2-xyzzy"
ECHO = """
    def connect(*args, **named):
        ran("connect")
        return len(named)

    class Vault:
        def __init__(self, value, **named):
            self.sum = sum(map(ord, str(value)))
"""


def shown(lab: Lab, built: Built) -> str:
    """All that the cache says to anybody: manifests, names of files, events and log lines."""
    events = json.dumps([dataclasses.asdict(event) for event in built.events], default=str)
    names = "\n".join(str(path) for path in lab.cache.rglob("*"))
    return "\n".join((lab.written(), names, events, built.log))


def check(lab: Lab, config: Any, other: Any, node: str = "", **options: Any) -> None:
    """Two configs that differ in a secret run once each, hit thereafter, and show nothing."""
    for each in (config, other, config, other):
        built = lab.build(each, node, verbose=True, **options)
        text = shown(lab, built)
        assert SECRET not in text and "0ther-pa55" not in text
    assert built.ran == []
    entries = [m for m in lab.manifests() if m.get("target") == "stages.connect" and "trace" in m]
    assert len(entries) == 2


SECRET_NAMES = """
    password db_password dbPassword db-password passwd pwd passphrase passcode pass db_pass secret client_secret
    api_key apikey API_KEY apiKey x-api-key token access_token accessToken hf_token authToken sas_token jwt cookie
    credentials private_key secretKey aws_secret_access_key awsSecretAccessKey AccountKey ssh_key auth bearer
    authorization Authorization dsn connection_string connectionString
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_parameters_whose_name_looks_secret(lab: Lab, name: str) -> None:
    """The value of such a parameter stands in no manifest, log line or event."""
    lab.code(ECHO)
    config = {"_target_": "stages.connect", name: SECRET, "n": 1}
    check(lab, config, {**config, name: "0ther-pa55"})


PLAIN_NAMES = "tokenizer max_tokens n_tokens monkey keys key author compass"


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_parameters_whose_name_does_not(lab: Lab, name: str) -> None:
    """Names that only sound like it are shown."""
    lab.code(ECHO)
    lab.build({"_target_": "stages.connect", name: "plain"})
    assert "plain" in lab.manifest("stages.connect")["parts"][f"param {name}"]


@pytest.mark.parametrize(
    "place",
    [
        {"headers": {"Authorization": "Bearer " + SECRET}},
        {"auth": {"user": "me", "how": [SECRET]}},
        {"auth": ["me", SECRET]},
        {"auth": {"_target_": "stages.Vault", "value": SECRET}},
        {"token": {"_target_": "stages.Vault", "value": {"deep": [SECRET]}}},
        {"token": {"_target_": "stages.Vault", "_partial_": True, "value": SECRET}},
        {"url": f"postgresql://user:{SECRET}@host:5432/db"},
        {"url": f"postgresql+psycopg2://user:{SECRET}/a@b@host/db"},
        {"url": f"redis://:{SECRET}@host"},
        {"url": f"https://host/path?user=me&api_key={SECRET}&x=1"},
        {"url": f"https://host/path?x=1&token={SECRET}"},
        {"text": f"host=h user=u password={SECRET} port=1"},
        {"text": f"DefaultEndpointsProtocol=https;AccountName=me;AccountKey={SECRET};X=1"},
        {"text": f"Authorization: Bearer {SECRET}"},
        {"urls": [f"s3://key:{SECRET}@bucket"]},
        {"by": {f"https://u:{SECRET}@host": 1}},
    ],
    ids=str,
)
def test_in_structures_and_texts(lab: Lab, place: dict[str, Any]) -> None:
    """Nested below a secret name, inside of a nested target, in URLs and connection strings."""
    lab.code(ECHO)
    config = {"_target_": "stages.connect", **place}
    other = json.loads(json.dumps(config).replace(SECRET, "0ther-pa55"))
    check(lab, config, other)


FROM_ENVIRONMENT = {
    "direct": "{_target_: stages.connect, place: '${oc.env:VAULT}'}",
    "in a text": "{_target_: stages.connect, place: 'x-${oc.env:VAULT}-y'}",
    "with a default": "{_target_: stages.connect, place: '${oc.env:VAULT,none}'}",
    "in a list": "{_target_: stages.connect, place: [1, {a: '${oc.env:VAULT}'}]}",
    "nested target": "{_target_: stages.connect, place: {_target_: stages.Vault, value: '${oc.env:VAULT}'}}",
    "as a version": "{_target_: stages.connect, _cache_version_: '${oc.env:VAULT}'}",
    "not recursive": "{_target_: stages.connect, _recursive_: false, place: {_target_: a.b, v: '${oc.env:VAULT}'}}",
    "in a name": "{_target_: stages.connect, place: '${oc.env:${oc.decode:VAULT}}'}",
    "positional": "{_target_: stages.connect, _args_: ['${oc.env:VAULT}']}",
}


@pytest.mark.parametrize("how", FROM_ENVIRONMENT)
def test_values_from_the_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A value of `${oc.env:...}` is shown nowhere, wherever it stands and whatever its parameter is called."""
    lab.code(ECHO)
    _check_environment(lab, monkeypatch, FROM_ENVIRONMENT[how])


@pytest.mark.parametrize(
    "config",
    [
        "vault: '${oc.env:VAULT}'\ntop: {_target_: stages.connect, place: '${vault}'}",
        "vault: {deep: {v: '${oc.env:VAULT}'}}\ntop: {_target_: stages.connect, place: 'a${vault.deep.v}b'}",
        "vault: {deep: ['${oc.env:VAULT}']}\ntop: {_target_: stages.connect, place: '${vault}'}",
        "a: '${oc.env:VAULT}'\nb: '${a}'\nc: '${b}'\ntop: {_target_: stages.connect, place: '${c}'}",
        "a: {_target_: stages.Vault, value: '${oc.env:VAULT}'}\ntop: {_target_: stages.connect, place: '${a}'}",
    ],
)
def test_values_from_the_environment_through_other_nodes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """Likewise through other nodes of the config, containers and interpolated copies."""
    lab.code(ECHO)
    _check_environment(lab, monkeypatch, config, "top")


@pytest.mark.parametrize(
    "value",
    ["[alpha1, hunter2-xyzzy]", "{user: me, pin: hunter2-xyzzy}", "'hunter2-xyzzy'", '["hunter2-xyzzy"]'],
)
def test_values_from_the_environment_that_are_decoded(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """`${oc.decode:${oc.env:...}}` makes lists and dicts; what is in them is as secret."""
    lab.code(ECHO)
    monkeypatch.setenv("VAULT", value)
    built = lab.build("{_target_: stages.connect, place: '${oc.decode:${oc.env:VAULT}}'}", verbose=True)
    assert SECRET not in shown(lab, built)


def test_values_that_a_resolver_made_of_the_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an own resolver makes of a value from the environment is as secret as that."""
    OmegaConf.register_new_resolver("turned", lambda text: text[::-1], replace=True)
    lab.code(ECHO)
    monkeypatch.setenv("VAULT", SECRET[::-1])
    config = """
        vault: "${turned:${oc.env:VAULT}}"
        top: {_target_: stages.connect, place: "${vault}", b: "${turned:${oc.env:VAULT}}"}
    """
    assert SECRET not in shown(lab, lab.build(config, "top", verbose=True))


def test_configs_that_were_resolved_before(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a config does not tell any more what came from the environment, the names of its variables do."""
    lab.code(ECHO)
    monkeypatch.setenv("MY_DB_PASSWORD", SECRET)
    config = OmegaConf.create({"_target_": "stages.connect", "place": "x ${oc.env:MY_DB_PASSWORD}"})
    OmegaConf.resolve(config)
    assert SECRET not in shown(lab, lab.build(config, verbose=True))
    built = lab.build({"_target_": "stages.connect"}, call={"place": [SECRET]}, verbose=True)
    assert SECRET not in shown(lab, built)


def _check_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch, config: str, node: str = "") -> None:
    for round_ in range(2):
        for value in (SECRET, "0ther-pa55"):
            monkeypatch.setenv("VAULT", value)
            built = lab.build(config, node, verbose=True)
            text = shown(lab, built)
            assert SECRET not in text and "0ther-pa55" not in text
            assert ("connect" in built.ran) == (round_ == 0)


def test_secrets_of_calls(lab: Lab) -> None:
    """Call-time overrides, positional ones too, are treated as what stands in the config."""
    lab.code(ECHO)
    for secret in (SECRET, "0ther-pa55") * 2:
        built = lab.build(
            {"_target_": "stages.connect"},
            "",
            f"ftp://u:{secret}@host",
            call={"password": secret, "more": {"api_key": secret}},
            verbose=True,
        )
        text = shown(lab, built)
        assert SECRET not in text and "0ther-pa55" not in text
    assert built.ran == []


def test_reasons_show_no_secrets(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A miss for a changed secret says that there is one, not what it is; a problem's text hides it, too."""
    lab.code(ECHO)
    monkeypatch.setenv("VAULT", SECRET)
    lab.build({"_target_": "stages.connect", "password": SECRET})
    built = lab.build({"_target_": "stages.connect", "password": "0ther-pa55"})
    assert built.of("").miss == "a secret parameter may have changed, or its entry is gone"
    config = "{_target_: stages.connect, x: '${oc.env:VAULT}', _cache_files_: ['/${oc.env:VAULT}/\\0']}"
    built = lab.build(config, verbose=True)
    assert SECRET not in shown(lab, built)


def test_files_whose_names_hold_secrets(lab: Lab) -> None:
    """A declared file is named in manifests and warnings without the password in its URL."""
    lab.code(ECHO)
    config = {"_target_": "stages.connect", "f": f"memory://u:{SECRET}@host/file", "_cache_files_": ["f"]}
    built = lab.build(config, verbose=True)
    assert SECRET not in shown(lab, built)


def test_other_peoples_secrets_in_the_app(project: Project) -> None:
    """In an app, nothing that `hydra-cached` prints or the job logs holds a secret."""
    project.write(
        app_py="""
        import hydra
        from hydra.utils import instantiate

        @hydra.main(version_base=None, config_path=None)
        def main(cfg):
            instantiate(cfg.top)

        main()
        """,
        stages_py="def connect(**named):\n    return len(named)\n",
    )
    arguments = ["+cache=disk", "cache.min_seconds=0", "cache.verbose=true", "+top._target_=stages.connect"]
    arguments += ["+top.url=${oc.env:VAULT}", f"+top.password={SECRET}"]
    environment = {"VAULT": "0ther-pa55"}
    for _ in range(2):
        output = project.python("app.py", *arguments, **environment)
        assert SECRET not in output and "0ther-pa55" not in output
    listed = project.python("-m", "hydra_cached.cli.manage", "ls", "--json", **environment)
    key = next(row["key"] for row in json.loads(listed) if not row["link"])
    for command in (["ls"], ["ls", "--json"], ["show", key], ["show", key, "--json"], ["stats"]):
        output = project.python("-m", "hydra_cached.cli.manage", *command)
        assert SECRET not in output and "0ther-pa55" not in output
    for path in (project.root / ".hydra_cached").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content and b"0ther-pa55" not in content
