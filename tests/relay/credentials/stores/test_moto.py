"""moto, services of AWS that others wrote: it checks signatures by the code of AWS's own library."""

import json

import httpx
import pytest

from embedded.ports import pick_free_port
from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.catalogue import StoreReaders
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.key_services import open_key_service
from relay.credentials.stores.reference import parse_key, parse_reference
from tests.support.real_servers import running

INSTALL = "pip install 'moto[server]==5.2.5' (in an environment of its own, whose moto_server is on the PATH)"
REGION = "eu-central-1"
KEY = bytes(range(32))
ALIAS = "alias/relay"
ALLOWED = ["secretsmanager:GetSecretValue", "ssm:GetParameter", "kms:Encrypt", "kms:Decrypt"]


class Account:
    """An account of AWS. `environ`: the variables of a user who may read secrets and use keys."""

    def __init__(self, url: str) -> None:
        self.url, self.environ = url, {}
        self.settings = SecretStoresConfig(aws_endpoint=url, aws_region=REGION)
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)

    async def call(self, service: str, target: str, **content: object) -> dict:
        """Make a request of AWS's JSON protocol as nobody."""
        headers = self._headers(service) | {"X-Amz-Target": target}
        answer = await self._http.post(self.url, headers=headers, content=json.dumps(content))
        assert answer.is_success, answer.text
        return answer.json()

    async def query(self, service: str, **form: str) -> str:
        """Make a request of AWS's query protocol as nobody."""
        answer = await self._http.post(self.url, headers=self._headers(service), data=form)
        assert answer.is_success, answer.text
        return answer.text

    async def create_user(self) -> None:
        document = {"Version": "2012-10-17"}
        document["Statement"] = [{"Effect": "Allow", "Action": ALLOWED, "Resource": "*"}]
        await self.query("iam", Action="CreateUser", UserName="relay")
        policy = {"UserName": "relay", "PolicyName": "relay", "PolicyDocument": json.dumps(document)}
        await self.query("iam", Action="PutUserPolicy", **policy)
        given = await self.query("iam", Action="CreateAccessKey", UserName="relay")
        for name, tag in (("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey")):
            self.environ[name] = given.partition(f"<{tag}>")[2].partition("<")[0]

    async def check_signatures(self, *, on: bool) -> None:
        count = "0" if on else "1000000"
        answer = await self._http.post(f"{self.url}/moto-api/reset-auth", content=count)
        assert answer.is_success

    async def read(self, reference: str, environ: dict[str, str] | None = None) -> str:
        readers = StoreReaders(self.settings, self.environ if environ is None else environ)
        return await readers.read(parse_reference(reference))

    async def close(self) -> None:
        await self._http.aclose()

    @staticmethod
    def _headers(service: str) -> dict[str, str]:
        scope = f"nobody/20260101/{REGION}/{service}/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


@pytest.fixture
async def account():
    port = pick_free_port()
    async with running("moto_server", INSTALL, port, "-H", "127.0.0.1", "-p", str(port)):
        account = Account(f"http://127.0.0.1:{port}")
        await account.create_user()
        yield account
        await account.close()


async def refusal_of(work):
    with pytest.raises(SecretStoreError) as caught:
        await work
    return str(caught.value)


async def test_secrets_parameters_roles_and_keys(account, tmp_path):
    """In one test, since the server takes seconds to start."""
    ids = await store_all(account)
    file = tmp_path / "token"
    file.write_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWxheSJ9.")
    role = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}
    assert await account.read("aws-ssm:/jira/acme", role) == "parameter"
    await account.check_signatures(on=True)

    for name in ("jira/acme", ids["acme"]):
        assert await account.read(f"aws-secrets-manager:{name}#key") == "first"
    assert await account.read("aws-ssm:/jira/acme") == "parameter"
    assert "no such secret" in await refusal_of(account.read("aws-secrets-manager:jira/none"))
    assert "about to be deleted" in await refusal_of(account.read("aws-secrets-manager:jira/gone"))
    assert "no such parameter" in await refusal_of(account.read("aws-ssm:/jira/none"))
    wrong = account.environ | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "AWS refuses the request" in await refusal_of(account.read("aws-ssm:/jira/acme", wrong))
    await a_key_is_unwrapped_when_its_alias_has_moved(account, ids)


async def store_all(account):
    """Write secrets, a parameter and keys; return the ARNs of a secret and of the keys."""
    await account.call(
        "ssm", "AmazonSSM.PutParameter", Name="/jira/acme", Value="parameter", Type="SecureString"
    )
    create = "secretsmanager.CreateSecret"
    acme = await account.call("secretsmanager", create, Name="jira/acme", SecretString='{"key": "first"}')
    await account.call("secretsmanager", create, Name="jira/gone", SecretString="x")
    await account.call("secretsmanager", "secretsmanager.DeleteSecret", SecretId="jira/gone")
    old, new = [(await account.call("kms", "TrentService.CreateKey"))["KeyMetadata"]["Arn"] for _ in range(2)]
    await account.call("kms", "TrentService.CreateAlias", AliasName=ALIAS, TargetKeyId=old)
    return {"acme": acme["ARN"], "old": old, "new": new}


async def a_key_is_unwrapped_when_its_alias_has_moved(account, ids):
    service = open_key_service("aws-kms", account.settings, account.environ)
    reference = parse_reference(await service.wrap(parse_key(f"aws-kms:{ALIAS}"), KEY))
    await account.check_signatures(on=False)
    await account.call("kms", "TrentService.UpdateAlias", AliasName=ALIAS, TargetKeyId=ids["new"])
    await account.check_signatures(on=True)

    assert reference.shown == f"aws-kms:{ids['old']}"
    assert await service.unwrap(reference) == KEY
    head, _, wrapped = reference.text.partition("#")
    cut = parse_reference(f"{head}#{wrapped[:40]}")
    assert "did not wrap this text" in await refusal_of(service.unwrap(cut))
    assert "no such key" in await refusal_of(service.wrap(parse_key("aws-kms:alias/none"), KEY))
