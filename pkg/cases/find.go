package cases

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find returns the files with cases that paths stand for: a file itself, and those in and below a
// folder. They are sorted, and each is there once. It is an error when a path stands for none.
func Find(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		found, err := find(path)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func find(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for cases: %w", err)
	case !info.IsDir() && !strings.HasSuffix(path, Suffix):
		return nil, fmt.Errorf("looking for cases: the name of %s does not end in %s", path, Suffix)
	case !info.IsDir():
		return []string{filepath.Clean(path)}, nil
	}
	var found []string
	root := path
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		root += string(filepath.Separator) // A link is followed when it is named.
	}
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(file, Suffix) {
			found = append(found, filepath.Clean(file))
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for cases: %w", err)
	case len(found) == 0:
		return nil, fmt.Errorf("there are no cases in %s: their files have names that end in %s", path, Suffix)
	}
	return found, nil
}
