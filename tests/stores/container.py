"""Creates a container in azurite: `container.py PORT NAME`. Its account and key are the same everywhere, and public."""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.error
import urllib.request

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

port, name = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
canonical = "".join(f"{key}:{value}\n" for key, value in headers.items())
resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
text = "PUT" + "\n" * 12 + canonical + resource
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
headers["Content-Length"] = "0"
url = f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    opener.open(urllib.request.Request(url, method="PUT", headers=headers), timeout=10)
except urllib.error.HTTPError as error:
    if error.code != 409:
        raise
