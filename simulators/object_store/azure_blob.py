"""Azure Blob Storage: a SAS token or a bearer token, `If-None-Match: *`, List Blobs."""

from aiohttp import web

from simulators.object_store.bucket import Bucket, Dialect, error


def azure_container() -> Bucket:
    """Return a container that knows one SAS token and one bearer token."""
    return Bucket(AZURE, {"sas": "c2lnbmF0dXJlLW9mLXRoZS10b2tlbg==", "token": "a-bearer-token"})


def sas_token(container: Bucket) -> str:
    """Return the SAS token as the portal shows it."""
    signature = container.keys["sas"].replace("=", "%3D")
    return f"?sv=2024-11-04&sp=racwl&sr=c&sig={signature}\n"


def _refused(container: Bucket, request: web.Request, _body: bytes) -> web.Response | None:
    if request.headers.get("Authorization") == f"Bearer {container.keys['token']}":
        return None
    if request.query.get("sig") == container.keys["sas"]:
        return None
    return error(403, "AuthenticationFailed")


def _listing(keys: list[str], mark: str | None) -> str:
    rows = "".join(
        f"<Blob><Name>{key}</Name><Properties><Creation-Time>Mon, 30 Nov 2026 00:00:00 GMT</Creation-Time><Last-Modified>Mon, 30 Nov 2026"
        f" 00:00:00 GMT</Last-Modified><Etag>x</Etag><Content-Length>1</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
        for key in keys
        if key[-1] != "/"
    )
    folders = "".join(f"<BlobPrefix><Name>{key}</Name></BlobPrefix>" for key in keys if key[-1] == "/")
    return f"<EnumerationResults><Blobs>{rows}{folders}</Blobs><NextMarker>{mark or ''}</NextMarker></EnumerationResults>"


AZURE = Dialect(
    refused=_refused,
    is_conditional=lambda request: request.headers.get("If-None-Match") == "*",
    taken=(409, "BlobAlreadyExists"),  # Microsoft Learn, "Put Blob", "Blob service error codes"
    absent="BlobNotFound",
    absent_bucket="ContainerNotFound",
    page=_listing,
    begin=("marker", "startFrom"),
    inclusive=True,
    account="acmeaudit",
)
