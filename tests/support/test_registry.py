import httpx


async def test_a_schema_registered_twice_has_one_id(real_registry, prefix):
    body = {"schema": '{"type": "record", "name": "Thing", "fields": []}'}
    async with httpx.AsyncClient(base_url=real_registry, timeout=60) as client:
        first = (await client.post(f"/subjects/{prefix}/versions", json=body)).json()["id"]
        second = (await client.post(f"/subjects/{prefix}/versions", json=body)).json()["id"]
        assert first == second
        assert "Thing" in (await client.get(f"/schemas/ids/{first}")).json()["schema"]
