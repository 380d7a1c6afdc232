# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals of other filesystems, laid over what is on the device.
