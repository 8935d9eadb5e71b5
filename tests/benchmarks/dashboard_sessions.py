"""Many sessions at once, without browsers: websockets that ask for views and wait until the server has sent them.

A session speaks Streamlit's own protocol and draws nothing, so that what is measured is the server: the time from
asking until its script has finished and every message of it has arrived.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

__all__ = ["Load", "View", "under_load"]

View = tuple[str, dict[str, str]]
"""Page and query of a view."""


@dataclass(frozen=True)
class Load:
    """What sessions ask for, and how often.

    Attributes
    ----------
    sessions : int
    every : float
        Seconds from one action of a session to its next.
    seconds : float
        For how long, after every session has opened its first view.
    """

    sessions: int = 20
    every: float = 10.0
    seconds: float = 60.0


def under_load(url: str, views: Sequence[View], load: Load) -> list[float]:
    """Seconds that each action took, over all sessions."""
    return asyncio.run(_all(url, views, load))


async def _all(url: str, views: Sequence[View], load: Load) -> list[float]:
    taken: list[float] = []
    sessions = (_session(url, views, load, number, taken) for number in range(load.sessions))
    await asyncio.gather(*sessions)
    return taken


async def _session(url: str, views: Sequence[View], load: Load, number: int, taken: list[float]) -> None:
    from websockets.asyncio.client import connect

    chance = random.Random(number)  # noqa: S311  which view is asked for
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], origin=url, max_size=None) as socket:  # type: ignore[list-item, arg-type]
        pages = await _ask(socket, "", {}, "")
        phase = load.every * number / load.sessions
        end = time.perf_counter() + load.seconds + phase
        await asyncio.sleep(phase)
        while time.perf_counter() < end:
            page, query = chance.choice(views)
            started = time.perf_counter()
            await _ask(socket, page, query, pages.get(page, ""))
            spent = time.perf_counter() - started
            taken.append(spent)
            await asyncio.sleep(max(0.0, load.every - spent))


async def _ask(socket: object, page: str, query: dict[str, str], script: str) -> dict[str, str]:
    """Ask for a view and wait until all of it has come; returns the script of every page by its name."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ClientState_pb2 import ClientState
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    state = ClientState(query_string=urlencode(query), page_script_hash=script, page_name=page)
    await socket.send(BackMsg(rerun_script=state).SerializeToString())  # type: ignore[attr-defined]
    pages: dict[str, str] = {}
    while True:
        message = ForwardMsg()
        message.ParseFromString(await socket.recv())  # type: ignore[attr-defined]
        kind = message.WhichOneof("type")
        if kind == "navigation":
            pages = {item.url_pathname: item.page_script_hash for item in message.navigation.app_pages}
        elif kind == "script_finished":
            return pages
