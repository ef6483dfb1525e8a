#!/usr/bin/env python3
"""Holds the document of the API against a running server: every operation is called with values that its types allow and with
values that they don't, and no answer may be a server error or one that the document does not know.

    SERVER_BIN=… SCHEMATHESIS_HOME=… python3 end2end/contract/run.py [--keep] [arguments of schemathesis]

Writes end2end/artefacts/contract/result.json {"passed", "failed", "skipped"}, counted in operations.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
# A folder of its own: the journeys, which may be running, clear theirs.
ARTEFACTS = HERE.parent / "artefacts/contract"
# Whatever the machine's way out is, this is about the loopback.
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
PASSWORD = "correct horse battery staple"
KINDS = ("passed", "failed", "skipped")

# Sockets are no calls, and streams have no end.
NEVER = [r"/ws$", r"^/ws/", r"^/api/live"]
# What would end the session, the account or its rights goes last, one after the other.
LAST = [
    r"^/api/auth/logout$",
    r"^/api/users/me$",
    r"^/api/users/me/(password|sessions|totp|second-factor|recovery-codes|passkeys|identities|export|delete)",
    r"^/api/admin/settings",
    r"^/api/projects/\{id\}/transfer$",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """The debug server with an empty data folder, and nobody to work off jobs."""

    def __init__(self, folder):
        self.base = f"http://127.0.0.1:{free_port()}"
        self.token = None
        self.log = open(ARTEFACTS / "server.log", "w")
        settings = {
            "APP_HOST": "127.0.0.1",
            "APP_PORT": self.base.rsplit(":", 1)[1],
            "DATA_DIR": str(Path(folder) / "data"),
            "JWT_SECRET_KEY": "c0" * 32,
            "METRICS_PORT": str(free_port()),
            "PREVIEW_PORTS": "off",
            "LOG_LEVEL": "warn",
            "LOG_FORMAT": "text",
            "RATE_LIMIT_ENABLED": "false",
            "AI_ALLOWED_HOSTS": "127.0.0.1:9",
        }
        if url := os.environ.get("CONTRACT_DATABASE_URL"):
            settings["DATABASE_URL"] = url
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        command = [os.environ["SERVER_BIN"], "serve", "--no-worker"]
        self.process = subprocess.Popen(command, env=kept | settings, cwd=folder, stdout=self.log, stderr=self.log)
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.base}/healthz", timeout=2).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        sys.exit(f"The server did not start; see {self.log.name}.")

    def call(self, method, path, body=None, headers=None, data=None):
        if body is not None:
            data = json.dumps(body).encode()
            headers = {"content-type": "application/json"} | (headers or {})
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers or {})
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")

    def register(self, name):
        return self.call("POST", "/api/auth/register", {"email": f"{name}@example.org", "username": name, "password": PASSWORD})

    def sign_in(self, name):
        form = urllib.parse.urlencode({"username": name, "password": PASSWORD}).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        self.token = self.call("POST", "/api/auth/login", data=form, headers=kind)["access_token"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def furnish(server):
    """Something of each kind, so that more than refusals is seen. The names are those in schemathesis.toml."""
    server.register("ada")
    server.sign_in("ada")
    user, spare = server.register("ben"), server.register("cleo")
    project = server.call("POST", "/api/projects", {"name": "Contract"})["id"]
    at = f"/api/projects/{project}"
    new = {"if-none-match": "*", "content-type": "text/plain"}
    server.call("PUT", f"{at}/files/a.txt", data=b"one\ntwo\n", headers=new)
    things = {
        "ACCESS_TOKEN": server.token,
        "PROJECT": project,
        "USER": user["id"],
        "SPARE_USER": spare["id"],
        "SPARE_PROJECT": server.call("POST", "/api/projects", {"name": "Spare"})["id"],
        "CHECKPOINT": server.call("POST", f"{at}/checkpoints", {"name": "Kept"})["id"],
        "RUN": server.call("POST", f"{at}/runs", {"kind": "sandbox_exec", "command": "true"})["id"],
        "TERMINAL": server.call("POST", f"{at}/terminals", {"cols": 80, "rows": 24})["id"],
        "CONVERSATION": server.call("POST", f"{at}/conversations", {"title": "Talk"})["id"],
        "SPARE_CONVERSATION": server.call("POST", f"{at}/conversations", {})["id"],
        "CHANGE_SET": server.call("POST", f"{at}/proposals", {"path": "a.txt", "text": "one\n2\n"})["change_set_id"],
        "UPLOAD": server.call("POST", f"{at}/uploads", {"path": "u.bin", "size": 3, "base": "new"})["id"],
    }
    for name, path, body in [
        ("RUN", f"{at}/runs", {"kind": "sandbox_exec", "command": "true"}),
        ("UPLOAD", f"{at}/uploads", {"path": "v.bin", "size": 3, "base": "new"}),
        ("CHECKPOINT", f"{at}/checkpoints", {"name": "Not kept"}),
        ("EXPORT", f"/api/projects/{things['SPARE_PROJECT']}/exports", {}),
    ]:
        things[f"SPARE_{name}"] = server.call("POST", path, body)["id"]
    export = server.call("POST", f"{at}/exports", {})
    return things | {"EXPORT": export["id"], "JOB": export["job_id"]}


def fuzz(server, things, name, arguments):
    """One run of schemathesis: the names of operations that passed, failed and were skipped."""
    report = ARTEFACTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    home = os.environ["SCHEMATHESIS_HOME"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{server.base}/api/openapi.json", "--report-junit-path", str(report), *arguments]
    environment = os.environ | things | {"PYTHONPATH": home, "PYTHONHASHSEED": "0", "NO_PROXY": "127.0.0.1"}
    code = subprocess.run(command, env=environment, cwd=ARTEFACTS, check=False).returncode
    outcome = read_report(report) if report.exists() else {kind: set() for kind in KINDS}
    # It ends on 1 where operations failed, and on others where it did not get that far.
    if code not in (0, 1) or not report.exists() or (code == 1 and not outcome["failed"]):
        outcome["failed"].add(f"the run {name!r}, which ended on {code}")
    return outcome


def read_report(report):
    outcome = {kind: set() for kind in KINDS}
    for case in ElementTree.parse(report).getroot().findall(".//testcase"):
        has_failed = case.find("failure") is not None or case.find("error") is not None
        kind = "failed" if has_failed else "skipped" if case.find("skipped") is not None else "passed"
        outcome[kind].add(case.get("name"))
    return outcome


def operations_of(document):
    """Names of all operations that are to be called."""
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    paths = {path: item for path, item in document["paths"].items() if not any(re.search(never, path) for never in NEVER)}
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in methods}


def choose(flag, patterns):
    return [f"--{flag}-path-regex", "|".join(f"({pattern})" for pattern in patterns)]


def main():
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    result = ARTEFACTS / "result.json"
    result.unlink(missing_ok=True)
    arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        server = Server(folder)
        try:
            things = furnish(server)
            wanted = operations_of(server.call("GET", "/api/openapi.json"))
            if arguments:
                rounds = [fuzz(server, things, "chosen", arguments)]
            else:
                first = fuzz(server, things, "most", choose("exclude", NEVER + LAST))
                last = fuzz(server, things, "last", ["--workers", "1", *choose("include", LAST)])
                rounds = [first, last]
            alive = server.process.poll() is None
        finally:
            server.stop()
    outcome = {kind: set().union(*(found[kind] for found in rounds)) for kind in KINDS}
    if not alive:
        outcome["failed"].add("the server, which ended while it was asked")
    if not arguments:
        for missing in sorted(wanted - set().union(*outcome.values())):
            outcome["failed"].add(f"{missing}, which was never called")
    outcome["passed"] -= outcome["failed"]
    outcome["skipped"] -= outcome["failed"] | outcome["passed"]
    counts = {kind: len(names) for kind, names in outcome.items()}
    result.write_text(json.dumps(counts))
    for kind in ("failed", "skipped"):
        for name in sorted(outcome[kind]):
            print(f"{kind}: {name}")
    print(f"contract: {counts['passed']} operations as documented, {counts['failed']} not, {counts['skipped']} skipped")
    return 0 if not outcome["failed"] and outcome["passed"] else 1


if __name__ == "__main__":
    # So that the server is ended as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
