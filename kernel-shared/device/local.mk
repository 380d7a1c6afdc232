# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/blockdev.c %D%/blockdev.h \
	%D%/borrowed_device.c %D%/borrowed_device.h \
	%D%/device_set.c %D%/device_set.h \
	%D%/device_set_open.c \
	%D%/fault_device.c %D%/fault_device.h \
	%D%/file_device.c %D%/file_device.h \
	%D%/memory_device.c %D%/memory_device.h \
	%D%/mounted.c \
	%D%/overlay_device.c %D%/overlay_device.h \
	%D%/record_device.c %D%/record_device.h \
	%D%/signature.c %D%/signature.h \
	%D%/super.c %D%/super.h
unit_tests += tests/unit/test-device-layers tests/unit/test-device-set tests/unit/test-device-signature \
	tests/unit/test-device-super
tests_unit_test_device_layers_SOURCES = tests/unit/test-device-layers.c
tests_unit_test_device_super_SOURCES = tests/unit/test-device-super.c tests/unit/device_super.h
tests_unit_test_device_set_SOURCES = tests/unit/test-device-set.c tests/unit/device_super.h
tests_unit_test_device_signature_SOURCES = tests/unit/test-device-signature.c tests/unit/device_super.h

script_tests += tests/cli/device-scan.sh
