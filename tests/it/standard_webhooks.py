"""Verifies a captured webhook as a receiver would: with the `standardwebhooks` library.

Reads {"secret", "headers", "body"} as JSON and prints `verified`, or `refused: ` and the library's
own reason.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

request = json.load(sys.stdin.buffer)
try:
    webhook = Webhook(request["secret"])
    webhook.verify(request["body"], request["headers"], json_parse=False)
    print("verified")
except WebhookVerificationError as error:
    print(f"refused: {error}")
