# SPDX-License-Identifier: LGPL-2.1-or-later
# Converting in place, and back.
