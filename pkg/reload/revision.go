package reload

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/config"
)

// revision is one config with the texts that it was made of.
type revision struct {
	config   *config.Config
	files    []config.File
	versions map[string]string // of the ConfigMaps
	growing  []string          // names of files and imported files that are written in place
	imported map[string][]byte // texts by name
}

// newRevision makes a revision of a config, what it was made of, and the names of the files that
// imports have brought in.
func newRevision(cfg *config.Config, s Snapshot, imported []string) revision {
	r := revision{
		config: cfg, files: s.Files.List(), versions: s.Versions, growing: slices.Clone(s.Growing),
		imported: make(map[string][]byte, len(imported)),
	}
	for _, name := range imported {
		r.imported[name] = readImported(name)
		if !inVolume(name) {
			r.growing = append(r.growing, name)
		}
	}
	return r
}

// text returns the text of a file; nil when there is none of that name.
func (r revision) text(name string) []byte {
	for _, f := range r.files {
		if f.Name == name {
			return f.Data
		}
	}
	return r.imported[name]
}

// newer reports whether some ConfigMap is newer in a than in b. One that only one of them has says
// nothing: it is not a source of the other.
func newer(a, b map[string]string) bool {
	for name, version := range a {
		if order, err := resourceversion.CompareResourceVersion(version, b[name]); err == nil && order > 0 {
			return true
		}
	}
	return false
}
