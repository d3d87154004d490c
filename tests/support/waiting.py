import asyncio


async def wait_until(condition, seconds=20):
    """Wait until a condition is true. Fails the test after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end
        await asyncio.sleep(0.05)
