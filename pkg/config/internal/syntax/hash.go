package syntax

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Hash is over the languages and contents of the files, and returns their names in order, too. What
// the files are called, and where they lie, does not count: all files are one value, so it is the
// same config in a mounted directory, in a ConfigMap, and on somebody's desk. It does count for
// files that were imported, as CUE finds them by their directory: that below the directory which
// all files have in common.
func Hash(files []*Source) (sum string, names []string) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b *Source) int { return strings.Compare(a.Name, b.Name) })
	root := commonFolder(files)
	parts := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.Name)
		parts = append(parts, f.identity(root))
	}
	slices.Sort(parts)
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)), names
}

// identity is all of a file that counts for the hash; its length is always the same.
func (s *Source) identity(root string) string {
	place := ""
	if s.imported {
		folder := filepath.Dir(s.Abs)
		place, _ = filepath.Rel(root, folder)
		place = cmp.Or(place, folder)
	}
	head := sha256.Sum256(fmt.Appendf(nil, "%d %s", s.Language, filepath.ToSlash(place)))
	return string(head[:]) + string(s.sum[:])
}

// commonFolder is the deepest directory that has all files below it.
func commonFolder(files []*Source) string {
	root := ""
	for i, f := range files {
		folder := filepath.Dir(f.Abs)
		if i == 0 {
			root = folder
		}
		for root != filepath.Dir(root) && !isBelow(folder, root) {
			root = filepath.Dir(root)
		}
	}
	return root
}

// isBelow reports whether a directory is another one or below it.
func isBelow(folder, root string) bool {
	return folder == root || strings.HasPrefix(folder, strings.TrimSuffix(root, string(filepath.Separator))+string(filepath.Separator))
}
