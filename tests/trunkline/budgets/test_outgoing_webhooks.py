"""Where webhooks may go, looked at where the socket is made; and what is read of an answer."""

import socket
from typing import Literal

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.trunkline.budgets.receiver import receiving
from tests.trunkline.providers.scripted import http_answer, scripted_server
from trunkline.providers.outgoing import Outgoing
from trunkline.providers.outgoing_errors import AddressRefused


class Resolves(AbstractResolver):
    """Answers every name with the same address, as a hostile DNS server would."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=self.address,
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


async def status(outgoing: Outgoing, url: str) -> int:
    answer = await outgoing.notify(url, headers={"webhook-id": "1"}, body=b"{}", timeout_seconds=5)
    assert answer.body == b""
    return answer.status


@pytest.mark.parametrize("private_networks", ["default", "deny"])
async def test_a_public_name_of_a_private_address_gets_nothing(
    private_networks: Literal["default", "deny"],
) -> None:
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example.com")
        async with Outgoing(private_networks, resolver=Resolves("127.0.0.1")) as outgoing:
            with pytest.raises(AddressRefused):
                await status(outgoing, url)
        assert receiver.received == []
        async with Outgoing("allow-webhooks", resolver=Resolves("127.0.0.1")) as outgoing:
            assert await status(outgoing, url) == 204


async def test_metadata_services_are_never_asked() -> None:
    async with Outgoing("allow-webhooks", resolver=Resolves("169.254.169.254")) as outgoing:
        with pytest.raises(AddressRefused):
            await status(outgoing, "http://hooks.example.com/")


async def test_an_answer_without_an_end_is_not_waited_for() -> None:
    async with scripted_server() as scripted, Outgoing("allow-webhooks") as outgoing:
        whole = http_answer(b"x")
        scripted.answers = [whole.replace(b"Content-Length: 1\r", b"Content-Length: 999999999\r")]
        scripted.hold_last = True
        assert await status(outgoing, scripted.url) == 200
