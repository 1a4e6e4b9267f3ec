#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/plus_api.json: what the published OpenAPI document of the NGINX Plus API says about
paths, methods, statuses, and members of bodies with their types.

    tests/plus_shape.py nginx-plus-api-9.yaml > tests/data/plus_api.json

Texts and examples are left out.  A type is the name of a scalar, {"enum": [...]}, {"list": type},
{"map": type}, {"members": {name: type}} or {"ref": name}; "any" where the document says no more.
Where an example contradicts its schema (a list of workers, counters by status code) the example is
right, as clients have it so."""
import json
import sys

import yaml

METHODS = ("get", "post", "put", "patch", "delete")


def members(schema):
    found = {name: shape(member) for name, member in schema["properties"].items()}
    # The document's way of writing "one member for each status code".
    return {"map": found["codeNumber"]} if list(found) == ["codeNumber"] else {"members": found}


def shape(schema):
    if schema is None:
        return None
    if "$ref" in schema:
        return {"ref": schema["$ref"].rpartition("/")[2]}
    if "enum" in schema:
        return {"enum": schema["enum"]}
    if schema.get("type") == "array":
        return {"list": shape(schema["items"])}
    if "additionalProperties" in schema:
        kind = "list" if isinstance(schema.get("example"), list) else "map"
        return {kind: shape(schema["additionalProperties"])}
    if "properties" in schema:
        return members(schema)
    return schema["type"] if schema.get("type", "object") != "object" else "any"


def main():
    with open(sys.argv[1]) as f:
        document = yaml.safe_load(f)
    paths = {}
    for path, methods in document["paths"].items():
        paths[path] = {
            method: {status: shape(answer.get("schema")) for status, answer in operation["responses"].items()}
            for method, operation in methods.items() if method in METHODS}
    types = {name: shape(schema) for name, schema in document["definitions"].items()}
    json.dump({"paths": paths, "types": types}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
