"""The hook of Sites: a ConfigMap with the pages of a Site in HTML, and its status."""

import html
import json
import string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def sync(request):
    site = request["parent"]
    name, spec = site["metadata"]["name"], site["spec"]
    pages = {}
    for page, text in spec["pages"].items():
        filled = string.Template(text).substitute(spec.get("values", {}), site=name)
        pages[page + ".html"] = f"<h1>{html.escape(page)}</h1>\n<p>{html.escape(filled)}</p>\n"
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name + "-pages"}, "data": pages}
    return {"children": [config_map], "status": {"pages": len(pages)}}


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are used again
    wbufsize = -1  # an answer is sent as a whole

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = 200, json.dumps(sync(json.loads(request)))
        except (KeyError, ValueError) as e:  # a mistake in this Site
            status, answer = 422, repr(e)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode("ascii"))


if __name__ == "__main__":
    try:
        ThreadingHTTPServer(("127.0.0.1", 7878), Hook).serve_forever()
    except KeyboardInterrupt:
        pass
