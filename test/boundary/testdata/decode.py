# Decodes messages as Python does: base64 lines in, a JSON line {value} or {error} out for each. A name that
# is there twice is an error, for the sake of decoders that take the first.
import base64
import json
import sys


def once(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("duplicate name")
    return dict(pairs)


for line in sys.stdin:
    try:
        text = base64.b64decode(line)
        value = json.loads(text)
        json.loads(text.decode("utf-8", "strict"), object_pairs_hook=once)
        print(json.dumps({"value": value}))
    except Exception as error:
        print(json.dumps({"error": repr(error)}))
