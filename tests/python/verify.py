"""Judges captured webhooks as receivers do: with their own libraries.

Reads a JSON array of questions, {check, secret, headers, body}, and writes a JSON array with an
answer for each: {"verdict": "verified"} or {"verdict": "refused: …"}, for a CloudEvent with the
event as the library understood it.
"""

import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook


def standardwebhooks(question):
    webhook = Webhook(question["secret"])
    webhook.verify(question["body"], question["headers"], json_parse=False)
    return {}


def cloudevents(question):
    message = HTTPMessage(headers=question["headers"], body=question["body"].encode())
    event = from_http_event(message)
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    return {"event": {**attributes, "data": event.get_data()}}


CHECKS = {"standardwebhooks": standardwebhooks, "cloudevents": cloudevents}


def answer(question):
    try:
        return {"verdict": "verified", **CHECKS[question["check"]](question)}
    except Exception as error:  # pylint: disable=broad-except
        return {"verdict": f"refused: {error}"}


json.dump([answer(question) for question in json.load(sys.stdin.buffer)], sys.stdout)
