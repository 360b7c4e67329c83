"""Checks published documents against the schemas of the AsyncAPI document.

Usage: check_asyncapi.py ASYNCAPI.yaml PUBLISHED.ndjson
Each line of the second file: {"schema": name, "document": …}.
"""

import json
import sys

import jsonschema
import yaml


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        api = yaml.safe_load(file)
    validators = {
        name: jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": api["components"]})
        for name in api["components"]["messages"]
    }
    count = wrong = 0
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            count += 1
            for error in validators[row["schema"]].iter_errors(row["document"]):
                wrong += 1
                print(f"{row['schema']}: {error.json_path}: {error.message}", file=sys.stderr)
    print(f"{count} documents, {wrong} faults")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())
