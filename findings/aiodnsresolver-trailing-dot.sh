#!/usr/bin/env bash
# aiodnsresolver 0.0.157 (CPython 3.11): a fully qualified name that ends in its dot, as "a.test.",
# is packed with an empty label for what follows the dot, before the one that ends each name. So the
# question has one zero byte too many (RFC 1035 4.1.2), and what follows it is out of step.
#
# Seen, the question of "a.test" and of "a.test.":
#     01 61 04 74 65 73 74 00 00 01 00 01
#     01 61 04 74 65 73 74 00 00 00 01 00 01
# Take the dot off before asking it. Fails here if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet aiodnsresolver==0.0.157
cat >"$folder/program.py" <<'END'
import aiodnsresolver

for name in (b'a.test', b'a.test.'):
    question = aiodnsresolver.QuestionRecord(name, aiodnsresolver.TYPES.A, 1)
    message = aiodnsresolver.Message(
        1, aiodnsresolver.QUESTION, 0, 0, 1, 0, 0, 0, 0, (question,), (), (), ())
    print(aiodnsresolver.pack(message)[12:].hex(' '))
END
cat >"$folder/expected" <<'END'
01 61 04 74 65 73 74 00 00 01 00 01
01 61 04 74 65 73 74 00 00 00 01 00 01
END
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/got"
diff "$folder/expected" "$folder/got"
