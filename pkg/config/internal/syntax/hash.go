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
// the files are called does not count, nor where a YAML or JSON file lies: all files are one value,
// so it is the same config in a mounted directory, in a ConfigMap, and on somebody's desk. Of a CUE
// file its directory counts, below the directory which all CUE files have in common: CUE finds
// imports by it, and references lead from a file to those of its package in the same directory.
func Hash(files []*Source) (sum string, names []string) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b *Source) int { return strings.Compare(a.Name, b.Name) })
	root := commonFolderOfCUE(files)
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
	if s.Language == CUE {
		folder := filepath.Dir(s.Abs)
		place, _ = filepath.Rel(root, folder)
		place = cmp.Or(place, folder)
	}
	// A file that is only imported is no part of the value, so that counts, too.
	head := sha256.Sum256(fmt.Appendf(nil, "%d %t %s", s.Language, s.imported, filepath.ToSlash(place)))
	return string(head[:]) + string(s.sum[:])
}

// commonFolderOfCUE is the deepest directory that has all CUE files below it.
func commonFolderOfCUE(files []*Source) string {
	root := ""
	for _, f := range files {
		if f.Language != CUE {
			continue
		}
		folder := filepath.Dir(f.Abs)
		root = cmp.Or(root, folder)
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
