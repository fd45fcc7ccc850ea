package reload

import (
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/config"
)

// revision is one config with the texts that it was made of.
type revision struct {
	config   *config.Config
	files    []config.File
	versions map[string]string // of the ConfigMaps
	growing  []string
}

func newRevision(cfg *config.Config, s Snapshot) revision {
	return revision{config: cfg, files: s.Files.List(), versions: s.Versions, growing: s.Growing}
}

// text returns the text of a file; nil when there is none of that name.
func (r revision) text(name string) []byte {
	for _, f := range r.files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
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
