package daemon

import (
	"github.com/spf13/pflag"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// crdFlags are the settings of commands that look at custom kinds without a cluster.
type crdFlags struct{ paths []string }

func (c *crdFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&c.paths, "crds", nil, "file or folder with CustomResourceDefinitions; may be repeated")
}

// read returns the custom kinds in all files.
func (c *crdFlags) read() (kinds.CustomKinds, error) {
	var all kinds.CustomKinds
	for _, path := range c.paths {
		found, err := kinds.ReadCRDs(path)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// knownKinds is what a config is checked by when these custom kinds are known.
func knownKinds(custom kinds.CustomKinds) handlers.Kinds {
	return handlers.Kinds{TypeOf: custom.TypeOf, ScopeOf: custom.ScopeOf, IsCustom: custom.IsCustom, StatusOf: custom.StatusOf}
}
