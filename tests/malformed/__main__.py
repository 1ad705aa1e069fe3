"""Try all malformed input on the library and the command line, and print what came of it.

python -m tests.malformed
"""

import sys
from collections import Counter

from tests.malformed import cases
from tests.malformed.kit import tried

refused, slowest, wrong = Counter(), (0.0, ""), []
for case, trouble, seconds in tried(cases()):
    slowest = max(slowest, (seconds, f"{case.family}: {case.name}"))
    refused[case.family] += not trouble
    if trouble:
        wrong.append(f"{case.family}: {case.name}: {trouble}")
for family, count in refused.items():
    print(f"{family:14} {count:4} refused in one line")
print(
    f"{sum(refused.values()) + len(wrong)} inputs, {len(wrong)} otherwise; "
    f"slowest {slowest[0]:.2f} s ({slowest[1]})"
)
print("\n".join(wrong))
sys.exit(bool(wrong))
