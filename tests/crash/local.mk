# SPDX-License-Identifier: LGPL-2.1-or-later
script_tests += %D%/replay.sh
EXTRA_DIST += %D%/cases.py %D%/crashgen.py %D%/judge.py %D%/machine.py %D%/old_log.py %D%/operations.py \
	%D%/plan.py %D%/sampling.py %D%/scenarios %D%/view.py
