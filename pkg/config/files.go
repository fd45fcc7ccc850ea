package config

import (
	"context"
	"errors"
	"fmt"

	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// Files are the texts of one config, each read once: what is hashed is what is evaluated. They are
// immutable.
type Files struct{ sources *syntax.Sources }

// File is one text of a config, with what is needed to read it again elsewhere: Name is for
// messages, Path the absolute name that CUE knows the file by, and From the directory that it was
// found in, if any.
type File = syntax.Text

// Read reads the files and directories in paths, as Load does. The error is a Diagnostics unless
// ctx has ended.
func Read(ctx context.Context, paths []string) (*Files, error) {
	if len(paths) == 0 {
		return nil, errors.New("loading config: no file given")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	// A pipe may never end, so this waits no longer than ctx; the goroutine ends with the pipe.
	done := make(chan *syntax.Sources, 1)
	go func() { done <- syntax.Read(paths) }()
	select {
	case read := <-done:
		return filesOf(read)
	case <-ctx.Done():
		return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
}

// NewFiles makes Files of texts that have been read already. The error is a Diagnostics.
func NewFiles(files ...File) (*Files, error) {
	if len(files) == 0 {
		return nil, errors.New("loading config: no file given")
	}
	return filesOf(syntax.FromTexts(files))
}

// IsConfigFile reports whether a file of that name is read when it is found in a directory.
func IsConfigFile(name string) bool { return syntax.IsConfigName(name) }

func filesOf(read *syntax.Sources) (*Files, error) {
	if len(read.Diags) > 0 {
		return nil, read.Diags.Tidy()
	}
	return &Files{read}, nil
}

// List returns the files in the order in which they were read. The texts are shared: a caller must
// not change them.
func (f *Files) List() []File { return f.sources.Texts() }

// first is the name of the first file, for mistakes that have no better place.
func (f *Files) first() string { return f.sources.Files[0].Name }

// Hash is over the texts of the files, and the places of the CUE files to each other. It is
// Config.Hash of their config unless that has imported further files.
func (f *Files) Hash() string {
	sum, _ := syntax.Hash(f.sources.Files)
	return sum
}
