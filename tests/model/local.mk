# SPDX-License-Identifier: LGPL-2.1-or-later
unit_tests += %D%/test-edit-model
tests_model_test_edit_model_SOURCES = %D%/test-edit-model.c %D%/edit_model.c %D%/edit_model.h %D%/edit_shapes.h
