# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/data.c %D%/data.h \
	%D%/dir.c \
	%D%/edit.c \
	%D%/edit_attr.c \
	%D%/edit_clone.c \
	%D%/edit_extents.c \
	%D%/edit_inherit.c %D%/edit_inherit.h \
	%D%/edit_inode.c \
	%D%/edit_items.h \
	%D%/edit_link.c \
	%D%/edit_look.c \
	%D%/edit_names.c \
	%D%/edit_ops.h \
	%D%/edit_packed.c \
	%D%/edit_refs.c \
	%D%/edit_rename.c \
	%D%/edit_roots.c \
	%D%/edit_subvol.c \
	%D%/edit_subvol_delete.c \
	%D%/edit_truncate.c \
	%D%/edit_write.c \
	%D%/edit_xattr.c \
	%D%/error.c \
	%D%/file.c \
	%D%/file_extent.c %D%/file_extent.h \
	%D%/file_layer.h \
	%D%/foreign.c %D%/foreign.h \
	%D%/fs.h \
	%D%/inode.c %D%/inode.h \
	%D%/open.c \
	%D%/open_paths.c \
	%D%/path.c \
	%D%/roots.c \
	%D%/subvol.c \
	%D%/used.c \
	%D%/view.c

script_tests += tests/cli/wrong-device.sh
