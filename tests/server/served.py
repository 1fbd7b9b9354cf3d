"""`onestep serve`, as the tests beside this file start it."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
from pathlib import Path


class Server:
    """Runs until its end()."""

    def __init__(self, onestep, *arguments, port=0):
        self.process = subprocess.Popen([onestep, "serve", *arguments, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.line = self.process.stdout.readline().strip()
        if not self.line.startswith("onestep serves at http://"):
            raise AssertionError(self.line + self.process.stderr.read())
        self.address = re.search(r"http://[^/]+", self.line)[0]
        self.port = int(self.address.rsplit(":", 1)[1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def memory(self):
        """MiB that are resident."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def connect(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body of the answer."""
        with contextlib.closing(self.connect()) as connection:
            text = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, text, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
