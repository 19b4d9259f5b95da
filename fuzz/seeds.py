#!/usr/bin/env python3
"""Writes the first inputs of every target into the folder given: from fixtures/, from
tests/corpora/event-corpus.tsv, and some that reach each operator. Names are hashes of contents, so
writing them again changes nothing."""

import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = pathlib.Path(sys.argv[1])

DOCS = ["sys.id", "sys.environment.sys.id", "sys.revision", "sys.updatedBy.sys.id", "entity.locales",
        "entity.locales.0", "context.releaseId", "fields.title.en-US", "/payload/fields/a.b~1c"]
PAYLOADS = ['{"sys":{"id":"home"},"fields":{"title":{"en-US":"x"},"a.b/c":1.50}}',
            '{"before":{"a":1},"after":{"a":2}}', "[]", "null", '"text"', "{"]


def write(target: str, data: bytes) -> None:
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def protobuf(event: dict) -> bytes:
    entity = event.get("entity", {})
    inner = b"".join(field(number, str(entity[name]).encode())
                     for number, name in [(1, "id"), (2, "type"), (3, "contentType")] if name in entity)
    inner += b"".join(field(5, locale.encode()) for locale in entity.get("locales", []))
    out = field(1, b"e1") + field(2, b"acme") + field(4, event["topic"].encode()) + field(5, inner)
    for key, value in event.get("context", {}).items():
        out += field(8, field(1, key.encode()) + field(2, value.encode()))
    return out + field(9, json.dumps(event["payload"]).encode())


def cloudevent(event: dict) -> dict:
    return {"specversion": "1.0", "id": "e1", "source": "/cms", "type": event["topic"],
            "subject": "home", "time": "2026-11-22T10:00:00Z", "datacontenttype": "application/json",
            "space": "acme", "locales": "en-US,de-DE", "data": event["payload"]}


def events() -> None:
    for path in sorted((ROOT / "fixtures").glob("*.json")):
        text = path.read_bytes()
        write("event_json", text)
        event = json.loads(text)
        message = protobuf(event)
        write("event_protobuf", message)
        write("event_protobuf", varint(len(message)) + message)
        structured = cloudevent(event)
        write("event_cloudevents", json.dumps(structured).encode())
        write("event_cloudevents", json.dumps([structured]).encode())
        data = json.dumps(structured.pop("data"))
        head = "".join(f"ce-{name}: {value}\n" for name, value in structured.items())
        write("event_cloudevents", f"{head}\n{data}".encode())
    for line in (ROOT / "tests/corpora/event-corpus.tsv").read_text().splitlines()[1:]:
        _, form, given = line.split("\t")[:3]
        text = given.encode().decode("unicode_escape", "replace").encode("utf-8", "replace")
        if form == "json":
            text = text.replace(b'"type"', b'"topic"').replace(b'"data"', b'"payload"')
            write("event_json", text.replace(b'"timestamp"', b'"occurredAt"'))


def filters() -> None:
    conditions = []
    for doc in DOCS:
        at = {"doc": doc}
        conditions += [{"equals": [at, "x"]}, {"in": [at, ["x", 1, None]]}, {"startsWith": [at, "x"]},
                       {"regexp": [at, {"pattern": "^x.*$"}]}, {"gt": [at, 1]}, {"lte": [at, 4.5]},
                       {"exists": [at, False]}, {"changed": [at]}, {"changed": [{"doc": "before.a"}, at]}]
    conditions += [{"not": {"any": [conditions[0], {"all": conditions[:3]}]}}, {"any": []}, {"x": 1}, 7]
    for index, condition in enumerate(conditions):
        payload = PAYLOADS[index % len(PAYLOADS)]
        write("filters", f"{json.dumps([condition])}\n{payload}".encode())


def transformations() -> None:
    url = "https://a.example.com/i/{ /payload/sys/id }?t={ /topic }"
    headers = [{"key": "X-A", "value": "{ /payload/fields/title/en-US } { /user/sys/id }"}]
    bodies = ["{ /payload }", "{ /event }", "<{ /payload/fields/a.b~1c }>", ["{ /topic }", None, 1.50],
              {"z": "{ /payload/fields }", "a": {"b": ["{ /event/entity/locales/0 }"]}}, "{ /payload/a", "{{x}}"]
    media = [None, "application/json", "application/x-www-form-urlencoded; charset=utf-8", "a/b+json"]
    formats = ["standard", "contentful", "umbraco", "cloudevents-binary", "cloudevents-structured"]
    methods = [None, "PUT", "PATCH", "GET", "DELETE"]
    for index, body in enumerate(bodies * 4):
        fields = {"transformation": {"body": body, "contentType": media[index % len(media)],
                                     "method": methods[index % len(methods)]}}
        if index % 3 == 0:
            fields |= {"url": url, "headers": headers}
        if index % 2 == 0:
            fields["format"] = formats[index % len(formats)]
        payload = PAYLOADS[index % len(PAYLOADS)]
        write("transformations", f"{json.dumps(fields)}\n{payload}".encode())


events()
filters()
transformations()
