"""The wheel, installed alone in another environment: page and operations in it, and it serves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import skip_or_fail
from tests.console import live_server
from tests.console.live_server import ADMIN_TOKEN

ROOT = Path(__file__).parents[2]
OPERATIONS = sorted(path.name for path in (ROOT / "graphql" / "operations").glob("*.graphql"))


@pytest.mark.slow
def test_the_wheel_holds_the_page_and_serves_it_without_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / "server" / "page" / "index.html").is_file():
        skip_or_fail("the page is not built: make page")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "server/page/index.html" in names
    assert [f"server/page/operations/{name}" for name in OPERATIONS] == sorted(
        name for name in names if name.startswith("server/page/operations/")
    )
    assert not any(name.startswith(("tests/", "console/", "graphql/")) for name in names)

    environment = tmp_path / "environment"
    venv.create(environment)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", environment),
            *("install", "--quiet", "--no-compile", "--no-deps", wheel),
        ],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    _link_what_it_requires(environment)
    program = environment / "bin" / "trunkline"
    monkeypatch.setattr(live_server, "_TRUNKLINE", program)
    # Neither Node nor the checkout is to be found from there.
    own = {
        "PATH": str(environment / "bin"),
        "HOME": str(tmp_path),
        "TRUNKLINE_DATA_DIR": str(tmp_path / "data"),
        "TRUNKLINE_ADMIN_TOKEN": ADMIN_TOKEN,
    }
    assert shutil.which("node", path=own["PATH"]) is None
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    with log.open("w") as errors, live_server._started(own, errors.fileno()) as process:
        url = live_server._wait_for_link(process, log).partition("/graphiql")[0]
        with urllib.request.urlopen(f"{url}/graphiql") as page:
            assert b'id="console"' in page.read()
        request = urllib.request.Request(  # our own server
            f"{url}/graphql",
            data=json.dumps({"query": "{ providers { totalCount } }"}).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {ADMIN_TOKEN}",
            },
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["data"] == {"providers": {"totalCount": 4}}
        listing = urllib.request.Request(  # the same
            f"{url}/operations.json", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
        )
        with urllib.request.urlopen(listing) as answer:
            known = {one["name"] for one in json.load(answer)["operations"]}
        assert {"ProviderOverview", "ServerInfo"} <= known
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 0
    assert os.listdir(tmp_path / "data")  # noqa: PTH208  # that something was kept is all


def _link_what_it_requires(environment: Path) -> None:
    """Give it what its metadata asks for, and what that asks for, from this environment: installed
    again it would take half a minute.
    """
    (packages,) = environment.glob("lib/python*/site-packages")
    (found,) = metadata.distributions(name="trunkline", path=[str(packages)])
    waiting = list(_required_by(found, set()))
    while waiting:
        required = waiting.pop()
        distribution = metadata.distribution(required.name)
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        links = [packages / top for top in tops if not (packages / top).exists()]
        for link in links:
            link.symlink_to(Path(str(distribution.locate_file(link.name))))
        if links:
            waiting += _required_by(distribution, required.extras)


def _required_by(distribution: metadata.Distribution, extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, distribution.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement
