import gzip
import json

import pytest

from tests.support.azure_client import make_row, running_azure

MIB = 1024 * 1024


async def test_each_check_of_the_gateway_has_its_own_answer():
    """A wrong token, audience, rule, role, stream, version or content type is refused with its own code."""
    async with running_azure() as (azure, sender):
        foreign = azure.identity._issue(azure.identity.application_client, "https://management.azure.com")
        for status, code, changes in [
            (401, "InvalidToken", {"token": "made-up"}),
            (401, "InvalidToken", {"token": foreign}),
            (404, "NotFound", {"rule": "dcr-00000000000000000000000000000000"}),
            (404, "InvalidStream", {"stream": "Custom-Jira_Audit_v2_CL"}),
            (400, "InvalidApiVersion", {"version": None}),
            (415, "UnsupportedMediaType", {"headers": {"Content-Type": "text/plain"}}),
            (400, "InvalidContentEncoding", {"headers": {"Content-Encoding": "zstd"}}),
        ]:
            answered, error, headers = await sender.send([make_row(1)], **changes)
            assert (answered, error["code"], headers["x-ms-error-code"]) == (status, code, code)
            assert ("WWW-Authenticate" in headers) == (status == 401)
            assert headers["x-ms-request-id"] == azure.calls[-1].request_id
        azure.identity.publishers.clear()
        status, error, _headers = await sender.send([make_row(1)])
        assert (status, error["code"]) == (403, "OperationFailed")
        assert azure.rule_id in error["message"]
        assert azure.accepted() == 0


@pytest.mark.parametrize(
    "body",
    [b"[{", b"", b"null", b"1", b'[{"EventId": NaN}]', b"[1]", b'[{"EventMessage": "\xff"}]', b"[" * 100_000],
)
async def test_a_malformed_body_is_a_400(body):
    """A body that is not a JSON array of objects in UTF-8 is refused as a whole."""
    async with running_azure() as (azure, sender):
        status, error, _headers = await sender.send(body)
        assert (status, error["code"]) == (400, "InvalidJson")
        assert azure.accepted() == 0


async def test_an_object_instead_of_an_array_is_lost_behind_a_204():
    """An object in the place of the array gets a 204, and no row is stored."""
    async with running_azure() as (azure, sender):
        assert (await sender.send(make_row(1)))[0] == 204
        assert (await sender.send([]))[0] == 204
        assert azure.accepted() == 0


async def test_broken_gzip_is_a_400():
    """A truncated, corrupt or trailing gzip stream is refused; several gzip members are one body."""
    whole = gzip.compress(json.dumps([make_row(1)]).encode())
    packed = {"Content-Encoding": "gzip"}
    async with running_azure() as (azure, sender):
        for body in (
            whole[:-1],
            b"\x1f\x8b" + b"x" * 50,
            whole + b"rubbish",
            json.dumps([make_row(1)]).encode(),
        ):
            assert (await sender.post(body, headers=packed))[1].get("code") == "InvalidGzip"
        assert (await sender.post(gzip.compress(b"[") + gzip.compress(b"]"), headers=packed))[0] == 204
        assert (await sender.post(whole, headers=packed))[0] == 204
        assert azure.accepted() == 1


async def test_a_body_above_a_mebibyte_is_refused():
    """Content-Length is limited to 1,048,576 bytes, and in strict mode the decompressed body too."""
    largest = b"[]".ljust(MIB)
    async with running_azure() as (azure, sender):
        assert (await sender.post(largest))[0] == 204
        assert (await sender.post(largest + b" "))[0] == 413
        status, error, _headers = await sender.post(largest * 3)
        assert (status, error["code"]) == (413, "ContentLengthLimitExceeded")
        assert "Maximum allowed content length: 1048576 bytes (1 MB)" in error["message"]
        assert f"{3 * MIB} bytes" in error["message"]
        packed = {"Content-Encoding": "gzip"}
        assert (await sender.post(gzip.compress(largest), headers=packed))[0] == 204
        assert (await sender.post(gzip.compress(largest + b" "), headers=packed))[0] == 413
        assert [call.status for call in azure.calls] == [204, 413, 413, 204, 413]
    async with running_azure(strict=False) as (azure, sender):
        assert (await sender.post(gzip.compress(b"[]".ljust(50 * MIB), 1), headers=packed))[0] == 204
        assert (await sender.post(gzip.compress(b"[]".ljust(50 * MIB + 1), 1), headers=packed))[0] == 400


async def test_a_chunked_body_has_the_same_limit():
    """A body without Content-Length above a mebibyte is refused."""

    async def pieces(size):
        yield b"[]".ljust(size)

    async with running_azure(strict=False) as (_azure, sender):
        assert (await sender.post(pieces(MIB)))[0] == 204
        assert (await sender.post(pieces(MIB + 1)))[0] == 413
