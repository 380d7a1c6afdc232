# SPDX-License-Identifier: LGPL-2.1-or-later
bashcompletion_DATA = %D%/btrkit
EXTRA_DIST += %D%/btrkit
script_tests += tests/cli/completion.sh
